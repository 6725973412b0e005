"""Whether the parts of this process work: each is asked, with a limit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, TimeoutError, gatherResults
from twisted.internet.interfaces import IReactorTime

ASK_LIMIT_SECONDS = 2.0

Ask = Callable[[], Awaitable[str]]


class Unwell(Exception):
    """A part does not work; the text says why, for operators."""


@frozen
class PartHealth:
    """One part's answer."""

    name: str
    ok: bool
    text: str


class Health:
    """Asks all parts at once. A part answers with a text, or raises Unwell.

    Anybody may ask without being known, so who asks while the parts are asked has the same answer:
    a flood takes no more of the database than one.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._parts: dict[str, Ask] = {}
        self._waiting: list[Deferred[list[PartHealth]]] = []

    def add(self, name: str, ask: Ask) -> None:
        """Ask ``ask`` about ``name``."""
        self._parts[name] = ask

    async def report(self) -> list[PartHealth]:
        """The answers of all parts, in the order they were added."""
        waiting: Deferred[list[PartHealth]] = Deferred(lambda d: None)
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            asked = [Deferred.fromCoroutine(self._one(*each)) for each in self._parts.items()]
            gatherResults(asked).addCallback(self._tell)
        return await waiting

    def _tell(self, found: list[PartHealth]) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.called:
                each.callback(found)

    async def _one(self, name: str, ask: Ask) -> PartHealth:
        async def answer() -> str:
            return await ask()

        waiting = Deferred.fromCoroutine(answer())
        waiting.addTimeout(ASK_LIMIT_SECONDS, self._clock)
        try:
            return PartHealth(name, True, await waiting)
        except TimeoutError:
            return PartHealth(name, False, f"no answer within {ASK_LIMIT_SECONDS:.0f} s")
        except Exception as error:
            return PartHealth(name, False, str(error) or type(error).__name__)


def document(parts: list[PartHealth], details: bool) -> dict[str, Any]:
    """The report as JSON; ``details`` are for operators."""
    ok = all(part.ok for part in parts)
    result: dict[str, Any] = {"status": "ok" if ok else "failing"}
    if details:
        result["parts"] = {part.name: {"ok": part.ok, "text": part.text} for part in parts}
    else:
        result["parts"] = {part.name: {"ok": part.ok} for part in parts}
    return result
