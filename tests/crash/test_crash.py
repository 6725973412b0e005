"""twistd synnefo is killed under load; nothing that was promised is lost."""

from tests.crash.cases import CrashTestCase


class CrashTests(CrashTestCase):
    """A few kills; ``python -m tests.acceptance.run crash`` has more."""

    async def test_kills(self):
        """What was accepted is there exactly once or says why not; usage is exact; all rests."""
        await self.survive(kills=4)


class WorkersCrashTests(CrashTestCase):
    """The same of a service of several processes, whose supervisor is killed."""

    arguments = ("--workers", "2")

    async def test_kills(self):
        """What was accepted is there exactly once or says why not, whichever process took it."""
        await self.survive(kills=2)
