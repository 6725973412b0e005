"""Keeps a link to some broker for as long as a service runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from synnefo_tx.ganeti.broker.client import Entropy
from synnefo_tx.ganeti.broker.interface import Broker, Link
from synnefo_tx.ganeti.broker.model import BrokerFailure

PAUSE_SECONDS = 0.5
PAUSE_MAX_SECONDS = 30.0
STEADY_SECONDS = 10.0


def pause(failures: int, fraction: float) -> float:
    """Seconds to wait after so many failures in a row; ``fraction`` (0 to 1) spreads callers over
    the upper half."""
    longest = min(PAUSE_MAX_SECONDS, PAUSE_SECONDS * 2.0 ** min(failures, 10))
    return longest * (0.5 + fraction / 2)


class Session(Service):
    """Connects, lets ``opened`` prepare the link, waits for its end, and again.

    A link counts as good when it lived for ten seconds: one that is lost sooner, or refused, makes
    the pauses longer. Each attempt goes to the next broker.
    """

    log = Logger()

    def __init__(
        self,
        name: str,
        broker: Broker,
        opened: Callable[[Link], Awaitable[None]],
        clock: IReactorTime,
        entropy: Entropy,
    ) -> None:
        self.name = name
        self.link: Link | None = None
        self.connections = 0
        self._broker = broker
        self._opened = opened
        self._clock = clock
        self._entropy = entropy
        self._task: Deferred[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a link that works, as far as is known."""
        return self.link is not None

    def startService(self) -> None:
        super().startService()
        self._task = Deferred.fromCoroutine(self._run())
        self._task.addErrback(lambda failure: failure.trap(CancelledError) and None)

    async def stopService(self) -> None:
        """Close the link in good order and connect no more."""
        super().stopService()
        link, self.link = self.link, None
        if link is not None:
            await link.close()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await task

    async def _run(self) -> None:
        failures = 0
        while self.running:
            begun = self._clock.seconds()
            try:
                why: Exception = await self._one_link()
            except BrokerFailure as error:
                why = error
            except CancelledError:
                raise
            except Exception as error:
                self.log.failure("{name}: a link to the broker failed", name=self.name)
                why = error
            if not self.running:
                return
            steady = self._clock.seconds() - begun >= STEADY_SECONDS
            failures = 0 if steady else failures + 1
            wait = pause(failures, int.from_bytes(self._entropy(2), "big") / 0xFFFF)
            self.log.warn(
                "{name}: no broker for {wait:.1f} s: {why}", name=self.name, wait=wait, why=str(why)
            )
            await deferLater(self._clock, wait)

    async def _one_link(self) -> BrokerFailure:
        link = await self._broker.connect()
        try:
            await self._opened(link)
            self.connections += 1
            self.link = link
            return await link.until_lost()
        finally:
            self.link = None
            await link.close()
