"""twistd synnefo is killed under load; nothing that was promised is lost."""

from tests.crash.cases import CrashTestCase


class WorkersCrashTests(CrashTestCase):
    """A service of several processes, whose supervisor is killed a few times; ``python -m
    tests.acceptance.run crash`` has more kills, also of a single process."""

    arguments = ("--workers", "2")

    async def test_kills(self):
        """What was accepted is there exactly once or says why not, whichever process took it;
        usage is exact; all rests."""
        await self.survive(kills=3)
