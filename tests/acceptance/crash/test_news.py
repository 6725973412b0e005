"""Everything is killed a hundred times under load, with events and cut answers of RAPI."""

import os

from tests.acceptance.crash.news_cases import NewsCrashTestCase

KILLS = "CRASH_KILLS"


class NewsKillTests(NewsCrashTestCase):
    """Four users, two API workers, a broker; CRASH_KILLS sets another number."""

    async def test_hundred_kills(self):
        """What was accepted is there exactly once or says why not; usage is exact; all rests."""
        await self.survive(int(os.environ.get(KILLS, 100)))
