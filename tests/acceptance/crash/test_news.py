"""Everything is killed a hundred times under load, with events and cut answers of RAPI."""

from tests.acceptance.crash.news_cases import NewsCrashTestCase


class NewsKillTests(NewsCrashTestCase):
    """Four users, two API workers, a broker."""

    async def test_hundred_kills(self):
        """What was accepted is there exactly once or says why not; usage is exact; all rests."""
        await self.survive(kills=100)
