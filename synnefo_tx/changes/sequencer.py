"""Gives committed changes their numbers: one process at a time, elected.

A number is given when the change can be seen, so that whoever read up to a number has missed
nothing before it; the order of commits is not the order in which transactions took anything. The
processes that write say so after their commits, at once and then at most so often, since giving
numbers is a commit of its own; if that is lost, the sequencer looks by itself. While nobody follows
the stream anywhere nobody says anything, and numbers are given every five seconds, or when somebody
begins to follow: who writes should not pay for what nobody waits for.

Before its first number each sequencer sees to it that the epoch is right (``changes.epochs``).
"""

from __future__ import annotations

from math import inf

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from synnefo_tx.changes.bell import Bell
from synnefo_tx.changes.epochs import Epochs
from synnefo_tx.changes.store import (
    NUMBER_MAX,
    WANTED,
    WRITTEN,
    number,
    pending,
    tell_written,
)
from synnefo_tx.db.electorate import Electorate
from synnefo_tx.db.listener import Hearing
from synnefo_tx.db.pool import Database
from synnefo_tx.faults import ServiceUnavailable

ELECTION = "sequencer"
NUMBERING = "changes-number"
PAUSE_SECONDS = 0.1
LOOK_SECONDS = 1.0
UNWANTED_LOOK_SECONDS = 5.0
MINOR_SECONDS = 0.5
"""Minor changes are numbered at most so often."""
TELL_SECONDS = 0.1
WANTED_SECONDS = 6.0


class Demand:
    """Whether somebody follows the stream: what the processes with streams say now and then."""

    def __init__(self, hearing: Hearing, clock: IReactorTime) -> None:
        self._clock = clock
        self._until = -inf
        hearing.subscribe(WANTED, self._heard)

    @property
    def is_there(self) -> bool:
        """Whether changes should be told soon."""
        return self._clock.seconds() < self._until

    def _heard(self, payload: str) -> None:
        self._until = self._clock.seconds() + WANTED_SECONDS


class Announcer(Service):
    """Tells the sequencer that this process committed something, at most so often."""

    log = Logger()

    def __init__(self, database: Database, clock: IReactorTime, demand: Demand) -> None:
        self._database = database
        self._clock = clock
        self._demand = demand
        self._telling: IDelayedCall | None = None
        self._told_at = -inf

    def startService(self) -> None:
        super().startService()
        self._database.on_write = self._committed

    def stopService(self) -> None:
        super().stopService()
        self._database.on_write = None
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None

    def _committed(self, transaction: str) -> None:
        if self._telling is None and transaction != NUMBERING and self._demand.is_there:
            rest = self._told_at + TELL_SECONDS - self._clock.seconds()
            self._telling = self._clock.callLater(max(0.0, rest), self._tell)

    def _tell(self) -> None:
        self._telling = None
        self._told_at = self._clock.seconds()
        Deferred.fromCoroutine(tell_written(self._database)).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        # The sequencer looks by itself, only later.
        self.log.info("a commit was not told: {error}", error=str(failure.value))


class Sequencer(Service):
    """See the head of the module."""

    log = Logger()

    def __init__(
        self,
        database: Database,
        hearing: Hearing,
        clock: IReactorTime,
        electorate: Electorate,
        demand: Demand,
        epochs: Epochs,
    ) -> None:
        self._database = database
        self._clock = clock
        self._demand = demand
        self._epochs = epochs
        self._electorate = electorate
        self._bell = Bell(clock)
        self._minor_at = -inf
        self._is_hurrying = False
        hearing.subscribe(WRITTEN, self._bell.ring)
        hearing.subscribe(WANTED, self._wanted)

    def startService(self) -> None:
        super().startService()
        self._electorate.stand(ELECTION, self._lead)

    async def stopService(self) -> None:
        """Number no more."""
        super().stopService()
        await self._electorate.withdraw(ELECTION)

    def _wanted(self, payload: str) -> None:
        # The first time after nobody wanted them.
        if not self._is_hurrying:
            self._bell.ring()

    async def _lead(self) -> None:
        is_told = is_renewed = False
        while True:
            try:
                if not is_renewed:
                    await self._epochs.renew()
                    is_renewed = True
                limit = await self._number(is_told)
            except ServiceUnavailable as error:
                self.log.warn("changes are not numbered: {error}", error=str(error))
                limit = LOOK_SECONDS
            self._is_hurrying = self._demand.is_there
            if limit:
                await deferLater(self._clock, PAUSE_SECONDS)
            is_told = await self._bell.wait(limit)

    @property
    def _look_seconds(self) -> float:
        return LOOK_SECONDS if self._demand.is_there else UNWANTED_LOOK_SECONDS

    async def _number(self, is_told: bool) -> float:
        """Number what there is; the seconds until the next look."""
        is_due = self._clock.seconds() - self._minor_at >= MINOR_SECONDS
        # Who was told need not ask.
        now, later = (True, True) if is_told else await pending(self._database)
        rest = MINOR_SECONDS if later and not is_due else self._look_seconds
        if not now and not (later and is_due):
            return rest
        if later and is_due:
            self._minor_at = self._clock.seconds()
        async with self._database.transaction(NUMBERING) as tx:
            count = await number(tx, minor=later and is_due)
        return 0.0 if count >= NUMBER_MAX else rest
