"""RabbitMQ passes the suite that the broker in memory passes; whom the client believes."""

from __future__ import annotations

from synnefo_tx.ganeti.broker.model import BrokerLost, BrokerRefused
from tests.acceptance.broker.support import RabbitTestCase
from tests.ganeti.broker import cases


class RabbitTests(RabbitTestCase, cases.BrokerCases):
    """Every case, over verified TLS."""


class TrustTests(RabbitTestCase):
    """Whom the client gives a password, and what it tells."""

    async def refusal(self, url, kind):
        with self.assertRaises(kind) as refused:
            await self.client(url).connect()
        text = str(refused.exception)
        self.assertNotIn(self.rabbit.password, text)
        return text

    async def test_wrong_name(self):
        """A certificate of the right authority for another name than asked for is refused."""
        text = await self.refusal(self.url("127.0.0.1"), BrokerLost)
        self.assertIn("VerificationError", text)

    async def test_tls_to_a_plain_port(self):
        """A peer without TLS gets no password."""
        url = self.url("localhost").replace(str(self.rabbit.tls_port), str(self.rabbit.plain_port))
        await self.refusal(url, BrokerLost)

    async def test_wrong_password(self):
        """A wrong password is a refusal in the broker's words."""
        url = self.url("localhost", password="wrong-secret")
        text = await self.refusal(url, BrokerRefused)
        self.assertIn("ACCESS_REFUSED", text)
        self.assertNotIn("wrong-secret", text)

    async def test_unknown_virtual_host(self):
        """A virtual host that is not there is a refusal."""
        await self.refusal(self.url("localhost") + "/elsewhere", BrokerRefused)

    async def test_plain(self):
        """On this machine TLS may be left out."""
        link = await self.client(self.url("127.0.0.1", tls=False)).connect()
        await link.close()

    async def test_next_broker(self):
        """Of several brokers each attempt takes the next, so that one that is dead costs one."""
        dead = self.url("localhost").replace(str(self.rabbit.tls_port), "5999")
        broker = self.client(dead, self.url("localhost"))
        outcomes = []
        for _ in range(4):
            try:
                link = await broker.connect()
            except BrokerLost:
                outcomes.append(False)
            else:
                outcomes.append(True)
                await link.close()
        self.assertIn(outcomes, ([True, False] * 2, [False, True] * 2))
