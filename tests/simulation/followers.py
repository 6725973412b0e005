"""Clients that keep up with what changes: one polls, one follows the stream (INV11).

Both ask whichever controller they like, and another when one dies. In the end each must know just
what a list shows.
"""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from synnefo_tx.caller import Caller
from synnefo_tx.changes.model import position
from synnefo_tx.changes.subscriber import Subscriber
from tests.simulation.client import Answer
from tests.simulation.world import World

POLL_SECONDS = 3.0
LOOK_SECONDS = 2.0
MOVE_CHANCE = 0.1
LISTS = {"server": "/compute/v2.0/servers/detail", "network": "/network/v2.0/networks"}
Known = dict[str, dict[str, Any]]


def shown(document: dict[str, Any]) -> tuple[str, str, str]:
    """What is compared of a server or a network."""
    return document["name"], document["status"], document["updated"]


class Client:
    """What a client knows of one kind of things, by id."""

    def __init__(self, world: World, kind: str) -> None:
        self.known: Known = {}
        self.kind = kind
        self._world = world
        self._chance = world.chance_of(f"{type(self).__name__} of {kind}s")

    def _list(self, answered: Any, query: str = "") -> None:
        asked = self._world.request(
            "GET",
            LISTS[self.kind] + query,
            token=self._world.facts["token"],
            controller=self._any(),
        )
        asked.addCallback(answered)

    def _any(self) -> int:
        """A controller that seems to live."""
        return self._chance.choice(sorted(self._world.controllers) or [0])

    def _later(self, seconds: float, what: Any) -> None:
        self._world.clock.callLater(seconds, what)

    def differs(self, listed: Known) -> list[Any]:
        """What the client knows otherwise than a list has it."""
        ours = {id: shown(document) for id, document in self.known.items()}
        theirs = {id: shown(document) for id, document in listed.items()}
        return sorted(ours.items() ^ theirs.items())


class Poller(Client):
    """Asks for what changed since the Date of the last answer."""

    def __init__(self, world: World, kind: str) -> None:
        super().__init__(world, kind)
        self._since = ""
        self._poll()

    def _poll(self) -> None:
        query = f"?changes-since={quote(self._since)}" if self._since else ""
        self._list(self._answered, query)

    def _answered(self, answer: Answer) -> None:
        if answer.status in (200, 304):
            self._since = parsedate_to_datetime(answer.date).isoformat()
        if answer.status == 200:
            for document in answer.json[f"{self.kind}s"]:
                if document["deleted"]:
                    self.known.pop(str(document["id"]), None)
                else:
                    self.known[str(document["id"])] = document
        self._later(POLL_SECONDS, self._poll)


class Follower(Client):
    """Follows the stream at one controller, until that dies or another seems nicer."""

    def __init__(self, world: World, kind: str) -> None:
        super().__init__(world, kind)
        self.is_open = False
        self.resets = 0
        self._place = ""
        self._must_list = False
        self._touched: set[str] = set()
        self._at: Any = None
        self._subscriber: Any = None
        self._look()

    def _look(self) -> None:
        """Go where somebody lives, if need be."""
        alive = self._at is not None and not self._at.is_dead
        if alive and self._chance.random() < MOVE_CHANCE:
            self._leave()
            alive = False
        if not alive and self._world.controllers:
            self._connect(self._world.controllers[self._any()])
        if self._must_list:
            self._touched.clear()
            self._list(self._listed)
        self._later(LOOK_SECONDS, self._look)

    def _connect(self, controller: Any) -> None:
        if not self._place:
            self._must_list = True
        resumed = position(self._place) if self._place else None
        self._at, self.is_open = controller, True
        caller = Caller(user=self._world.facts["user"])
        self._subscriber = Subscriber(caller, resumed, Body(self))
        controller.app.changes.streams.feed.join(self._subscriber)

    def _leave(self) -> None:
        self._subscriber.end()
        self._at.app.changes.streams.feed.leave(self._subscriber)
        self._at = None

    def read(self, data: bytes) -> None:
        """Events have come."""
        for block in data.decode().split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in block.split("\n"))
            self._place = fields["id"]
            told = json.loads(fields["data"])
            if fields["event"] == "hello":
                self._world.note(f"hello {self._place}")
            elif fields["event"] == "reset":
                self.resets += 1
                self._must_list = True
            elif fields["event"] == self.kind:
                self._tell(str(told["id"]), told.get("doc"))

    def _tell(self, id: str, document: dict[str, Any] | None) -> None:
        self._touched.add(id)
        if document is None:
            self.known.pop(id, None)
        else:
            self.known[id] = document

    def _listed(self, answer: Answer) -> None:
        if answer.status != 200:
            return
        self._must_list = False
        listed = {str(each["id"]): each for each in answer.json[f"{self.kind}s"]}
        told = {id: each for id, each in self.known.items() if id in self._touched}
        rest = {id: each for id, each in listed.items() if id not in self._touched}
        self.known = rest | told


class Body:
    """The body of the stream's reply: it reaches the client as long as both live."""

    def __init__(self, follower: Follower) -> None:
        self.is_open = True
        self._follower = follower

    def write(self, data: bytes) -> None:
        """Pass bytes on."""
        if self.is_open:
            self._follower.read(data)

    def end(self) -> None:
        """The stream is over."""
        self.is_open = False


def begin(world: World) -> list[Client]:
    """Clients of each kind, which keep up from now on."""
    return [made(world, kind) for kind in LISTS for made in (Poller, Follower)]


def differences(world: World, clients: list[Client]) -> list[Any]:
    """What any of them knows otherwise than a list has it now."""
    found = []
    for kind, path in LISTS.items():
        answer = world.result(world.request("GET", path, token=world.facts["token"]))
        listed = {str(each["id"]): each for each in answer.json[f"{kind}s"]}
        for each in clients:
            if each.kind == kind and each.differs(listed):
                found.append((type(each).__name__, kind, each.differs(listed)))
    return found
