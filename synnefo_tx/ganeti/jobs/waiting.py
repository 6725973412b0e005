"""Waiting for what was asked of a cluster: what is stored tells when it has ended.

Whoever runs beside us (a service that polls, or hears of events) brings the news into the database.
If none does, or it is slow, we look at the cluster ourselves: news that come twice count once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import frozen
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from synnefo_tx.db.pool import Database
from synnefo_tx.faults import Conflict, ServiceUnavailable
from synnefo_tx.ganeti.jobs.model import Intent
from synnefo_tx.ganeti.jobs.store import intents_of
from synnefo_tx.ganeti.model import RapiFailure
from synnefo_tx.settings import Ganeti

LATEST_MAX = 200
LOOK_SECONDS = 0.25
"""Pause between looks at what is stored."""

Progress = Callable[[Intent, str], None]
"""Told of an intent that is waited for, and why its cluster does not answer if it does not."""


def described(intent: Intent) -> str:
    """What is waited for, in a few words."""
    job = "" if intent.job_id is None else f" (job {intent.job_id})"
    return f"{intent.opcode} of {intent.instance}{job}"


@frozen
class JobWaiting:
    """Waits for the jobs of subjects (``server:12``)."""

    database: Database
    look: Callable[[int], Awaitable[object]]
    clock: IReactorTime
    settings: Ganeti

    async def _latest(self, subject: str, backend: int | None) -> list[str]:
        """The ids of a subject's latest intent, which may have ended already, and of all that have
        not."""
        intents = await intents_of(self.database, subject, LATEST_MAX)
        found = [each for each in intents if backend in (None, each.backend)]
        return [each.id for rank, each in enumerate(found) if not rank or each.ended is None]

    async def until_ended(
        self, subject: str, limit_seconds: float, progress: Progress, backend: int | None = None
    ) -> list[Intent]:
        """Wait for what was asked last about a subject, and all else about it; how it ended. If a
        backend is named, what was asked of that one.

        Raises ServiceUnavailable when something has not ended within the limit, which its own
        deadline will end all the same.
        """
        wanted = await self._latest(subject, backend)
        begun = self.clock.seconds()
        looked = begun
        trouble = ""
        while True:
            found = await intents_of(self.database, subject, LATEST_MAX)
            ours = [each for each in found if each.id in wanted]
            left = [each for each in ours if each.ended is None]
            if not left:
                return ours
            progress(left[0], trouble)
            now = self.clock.seconds()
            if now - begun > limit_seconds:
                raise ServiceUnavailable(
                    f"{described(left[0])} has not ended after {limit_seconds:.0f} seconds; "
                    "it goes on"
                )
            if now - looked >= self.settings.open_poll_seconds:
                looked = now
                trouble = await self._look(left[0].backend)
            await deferLater(self.clock, LOOK_SECONDS)

    async def _look(self, backend: int) -> str:
        try:
            await self.look(backend)
        except RapiFailure as error:
            return str(error)
        return ""


def check_success(intents: list[Intent]) -> None:
    """Raise Conflict unless all succeeded."""
    for each in intents:
        if each.outcome != "success":
            why = f": {each.error}" if each.error else ""
            raise Conflict(f"{described(each)} ended with {each.outcome}{why}")
