"""The broker is away for minutes while users work."""

from random import Random

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from tests.acceptance import rabbitmq
from tests.acceptance.cloud.installed import IMAGE, reactor
from tests.acceptance.news.cases import NewsTestCase
from tests.crash.load import User
from tests.support.processes import until

USERS = 2
BEFORE_SECONDS = 30.0
AWAY_SECONDS = 150.0
AFTER_SECONDS = 45.0
REST_LIMIT_SECONDS = 180.0


class OutageTests(NewsTestCase):
    """Events and polls, under load."""

    timeout = 1200

    async def test_outage(self):
        """Nothing differs for a broker that is stopped for minutes, and events go on after it."""
        users = [
            User(self.cloud.url, self.token, IMAGE, self.flavors, Random(number))
            for number in range(USERS)
        ]
        working = gatherResults([Deferred.fromCoroutine(each.work()) for each in users])
        await deferLater(reactor, BEFORE_SECONDS)
        await deferToThread(rabbitmq.stop)
        await deferLater(reactor, AWAY_SECONDS)
        await deferToThread(rabbitmq.start)
        await deferLater(reactor, AFTER_SECONDS)
        for each in users:
            each.stopping = True
        await working
        self.assertEqual([text for each in users for text in each.wrong], [])
        self.assertEqual(sum(each.unanswered for each in users), 0)

        async def rests():
            listed = (await self.ask("GET", "/compute/v2.0/servers/detail"))["servers"]
            return not any(each["SNF:task_state"] or each["status"] == "BUILD" for each in listed)

        await until(rests, REST_LIMIT_SECONDS, "everything rests")
        await self.assert_reconciled()
        listed = (await self.ask("GET", "/compute/v2.0/servers/detail"))["servers"]
        names = {f"{self.prefix}{each['id']}" for each in listed if each["status"] != "ERROR"}
        self.assertEqual(set(await self.instances()), names)
