"""Events alone, polling alone, and both with every message twice and out of order."""

from tests.acceptance.news.cases import NewsTestCase


class EventsAloneTests(NewsTestCase):
    """Nobody polls."""

    polls = False

    async def test_journey(self):
        """By messages alone every server comes to the same end, and usage is what exists."""
        await self.journey()


class PollerAloneTests(NewsTestCase):
    """There is no broker."""

    hears = False

    async def test_journey(self):
        """By polling alone every server comes to the same end, and usage is what exists."""
        await self.journey()


class BothTests(NewsTestCase):
    """Messages come twice and out of order, and the poller tells the same again."""

    relayed = True

    async def test_journey(self):
        """Whatever the order and number of news, every server comes to the same end."""
        await self.journey()
        self.assertGreater(self.relay.count, 20)
