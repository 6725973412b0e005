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
REPEATS_MAX = 50
TWICE_CHANCE = 0.3
CUT = (ConnectError, ConnectionClosed, ResponseFailed, CancelledError)
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
    keys: dict[str, set[int]] = Factory(dict)
    replayed: int = 0
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
            except CUT:
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
        """Ask with a key, and again while nobody answers; now and then once more after that."""
        flavor, key = self.random.choice(self.flavors), f"crash {len(self.keys)}"
        wanted = {"name": key, "flavorRef": flavor, "imageRef": self.image}
        self.keys[key] = set()
        wishes = 2 if self.random.random() < TWICE_CHANCE else 1
        for _ in range(REPEATS_MAX):
            try:
                answer = await self.ask("create", "POST", SERVERS, {"server": wanted}, key)
            except CUT:
                self.unanswered += 1
                await deferLater(reactor, DOWN_SECONDS)
                continue
            if answer is not None:
                self.accepted.add(answer["server"]["id"])
                self.keys[key].add(answer["server"]["id"])
            wishes -= 1
            if not wishes:
                break

    async def ask(
        self, name: str, method: str, path: str, body: Any = None, key: str | None = None
    ) -> Any:
        """The answer's document; None when it was refused."""
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = await request(self.url, method, path, body, token=self.token, headers=headers)
        self.replayed += answer.header("Idempotency-Replayed") is not None
        if answer.status < 300:
            self.done[name] = self.done.get(name, 0) + 1
            return answer.json
        if answer.status not in REFUSALS:
            self.wrong.append(f"{method} {path}: {answer.status} {answer.body[:200]!r}")
        return None
