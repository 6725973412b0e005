"""Users who do all kinds of things at once, and remember what they were promised."""

from random import Random
from typing import Any

from attrs import Factory, define
from twisted.internet import reactor as _reactor
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.task import deferLater
from twisted.web.client import ResponseFailed

from tests.support.http import request

reactor: Any = _reactor
SERVERS = "/compute/v2.0/servers"
PAUSE_SECONDS = 0.03
DOWN_SECONDS = 0.1
# What a user may be told when not all goes well: busy, gone, over limit, no room, later.
REFUSALS = frozenset({400, 404, 409, 413, 503})
DEEDS = ("create", "create", "shutdown", "start", "resize", "delete", "list", "list")
# In which state a server must have been seen for a deed; deletion is tried in any.
WANTED_STATUS = {"shutdown": "ACTIVE", "start": "STOPPED", "resize": "STOPPED"}


@define
class User:
    """One user: what was asked, what was promised, and what answer was out of order."""

    url: str
    token: str
    image: str
    flavors: list[int]
    random: Random
    accepted: set[int] = Factory(set)
    seen: dict[int, str] = Factory(dict)
    asked_to_delete: set[int] = Factory(set)
    done: dict[str, int] = Factory(dict)
    unanswered: int = 0
    wrong: list[str] = Factory(list)
    stopping: bool = False

    async def work(self) -> None:
        """Do one thing after the other until ``stopping``."""
        while not self.stopping:
            try:
                await self.deed(self.random.choice(DEEDS))
            except (ConnectError, ConnectionClosed, ResponseFailed, CancelledError):
                self.unanswered += 1
                await deferLater(reactor, DOWN_SECONDS)
            await deferLater(reactor, PAUSE_SECONDS)

    async def deed(self, name: str) -> None:
        """One request."""
        if name == "create":
            await self.create()
            return
        if name == "list":
            listed = await self.ask(name, "GET", f"{SERVERS}/detail")
            if listed is not None:
                self.seen = {each["id"]: each["status"] for each in listed["servers"]}
            return
        id = self.choose(WANTED_STATUS.get(name))
        if id is None:
            return
        if name == "delete":
            self.asked_to_delete.add(id)
            await self.ask(name, "DELETE", f"{SERVERS}/{id}")
            return
        arguments = {"flavorRef": self.random.choice(self.flavors)} if name == "resize" else {}
        await self.ask(name, "POST", f"{SERVERS}/{id}/action", {name: arguments})

    def choose(self, status: str | None) -> int | None:
        """A server that was last seen in this state, None if there is none."""
        fitting = sorted(id for id, seen in self.seen.items() if status in (None, seen))
        return self.random.choice(fitting) if fitting else None

    async def create(self) -> None:
        flavor = self.random.choice(self.flavors)
        wanted = {"name": "crash", "flavorRef": flavor, "imageRef": self.image}
        answer = await self.ask("create", "POST", SERVERS, {"server": wanted})
        if answer is not None:
            self.accepted.add(answer["server"]["id"])

    async def ask(self, name: str, method: str, path: str, body: Any = None) -> Any:
        """The answer's document; None when it was refused."""
        answer = await request(self.url, method, path, body, token=self.token)
        if answer.status < 300:
            self.done[name] = self.done.get(name, 0) + 1
            return answer.json
        if answer.status not in REFUSALS:
            self.wrong.append(f"{method} {path}: {answer.status} {answer.body[:200]!r}")
        return None
