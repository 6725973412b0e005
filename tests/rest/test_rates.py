"""Limits of rate, over HTTP."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.caller import Caller
from synnefo_tx.faults import TooManyRequests
from synnefo_tx.rest.endpoint import Call, endpoint
from synnefo_tx.rest.metrics import Metrics
from synnefo_tx.rest.rates import RateLimits
from synnefo_tx.settings import Rates
from tests.support.http import SiteTestCase


class Things:
    """Endpoints of every class."""

    def __init__(self) -> None:
        self.calls = 0

    @endpoint("GET", "/things", action="compute:flavor:list")
    @endpoint("POST", "/things", action="compute:flavor:list", rate="create")
    @endpoint("PUT", "/things", action="compute:flavor:list")
    @endpoint("GET", "/open", action="compute:versions", ways=("none",))
    @endpoint("GET", "/free", action="compute:versions", ways=("none",), rate="none")
    async def act(self, call: Call[None]) -> dict[str, Any]:
        """Count."""
        self.calls += 1
        return {}


class HttpTests(SiteTestCase):
    rates = Rates(
        read_per_minute=1, read_burst=4, write_per_minute=1, write_burst=1,
        create_per_minute=0, user_factor=2.0, address_factor=3.0,
    )  # fmt: skip

    def setUp(self) -> None:
        super().setUp()
        self.things = Things()
        self.serve("", self.things)
        self.authenticate = self.by_name

    async def by_name(self, token: str) -> Caller:
        """Tokens are called user:number."""
        user, _, number = token.partition(":")
        return Caller(user=user, token_id=int(number))

    async def statuses(self, count: int, token: str | None, path="/things", method="GET"):
        return [(await self.request(method, path, token=token)).status for _ in range(count)]

    async def test_token(self) -> None:
        """A token that asks too often is told when to come again, and does nothing; another of the
        same user goes on, up to what a user may."""
        self.assertEqual(await self.statuses(5, "u:1"), [200] * 4 + [429])
        self.assertEqual(self.things.calls, 4)
        refused = await self.request("GET", "/things", token="u:1")
        self.assertEqual(list(refused.json), ["overLimit"])
        self.assertEqual(refused.json["overLimit"]["code"], 429)
        self.assertTrue(1 <= int(refused.header("Retry-After")) <= 60)
        self.assertEqual(await self.statuses(5, "u:2"), [200] * 4 + [429])
        self.assertEqual(await self.statuses(1, "u:3"), [429])
        text = (await self.metrics.text()).decode()
        self.assertIn('synnefo_rate_refusals_total{rate="read",subject="token"} 3.0', text)
        self.assertIn('synnefo_rate_refusals_total{rate="read",subject="user"} 1.0', text)

    async def test_address(self) -> None:
        """All that comes from one address has a limit too, whoever asks, and so have guesses."""
        for number in range(3):
            self.assertEqual(await self.statuses(4, f"u{number}:{number + 1}"), [200] * 4)
        self.assertEqual(await self.statuses(1, "v:9"), [429])
        self.assertEqual(await self.statuses(1, None, "/open"), [429])
        self.assertEqual(await self.statuses(2, None, "/free"), [200, 200])

    async def test_classes(self) -> None:
        """Classes are counted apart; a class without a rate is not limited."""
        self.assertEqual(await self.statuses(2, "u:1", method="PUT"), [200, 429])
        self.assertEqual(await self.statuses(20, "u:1", method="POST"), [200] * 20)
        self.assertEqual(await self.statuses(1, "u:1"), [200])


class MemoryTests(SynchronousTestCase):
    def test_session(self) -> None:
        """A session of a browser is counted like a token, apart from the token of its number."""
        rates = Rates(read_per_minute=1, read_burst=1, user_factor=9.0)
        limits = RateLimits(rates, Clock(), Metrics())
        limits.check_caller("read", Caller("u", session_id=1))
        limits.check_caller("read", Caller("u", session_id=2))
        limits.check_caller("read", Caller("u", token_id=1))
        self.assertRaises(TooManyRequests, limits.check_caller, "read", Caller("u", session_id=1))

    def test_bounded(self) -> None:
        """However many ask, a process remembers so many, and forgets the least used first."""
        clock = Clock()
        limits = RateLimits(
            Rates(read_per_minute=1, read_burst=1, address_factor=1.0, remembered_max=100),
            clock,
            Metrics(),
        )
        limits.check_address("read", "192.0.2.1")
        for number in range(1000):
            limits.check_address("read", f"198.51.{number // 250}.{number % 250}")
            self.assertRaises(TooManyRequests, limits.check_address, "read", "192.0.2.1")
        self.assertLessEqual(len(limits._full_at), 100)
        clock.advance(61)
        limits.check_address("read", "192.0.2.1")
