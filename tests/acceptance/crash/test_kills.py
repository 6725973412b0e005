"""twistd synnefo is killed ten times under load; nothing that was promised is lost."""

from tests.crash.cases import CrashTestCase


class KillTests(CrashTestCase):
    """Four users, one cluster in memory."""

    async def test_ten_kills(self):
        """What was accepted is there exactly once or says why not; usage is exact; all rests."""
        await self.survive(kills=10)
