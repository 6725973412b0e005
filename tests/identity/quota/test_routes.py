"""The account API over HTTP: quotas and resources."""

from __future__ import annotations

from synnefo_tx.faults import BadRequest, ItemNotFound
from synnefo_tx.identity.quota.model import ResourceChanges
from synnefo_tx.identity.quota.operations import Quota
from synnefo_tx.identity.quota.resources import Resources
from synnefo_tx.identity.quota.routes import AccountRoutes
from tests.support.accounts import accounts
from tests.support.http import HttpTestCase
from tests.support.identity import make_user


class AccountTests(HttpTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.tokens = accounts(self.database).tokens
        self.authenticate = self.tokens.authenticate
        self.resources = Resources(self.database)
        self.serve("/account/v1.0", AccountRoutes(Quota(self.database), self.resources))
        self.user = await make_user(self.database, "alice@example.org")
        async with self.database.transaction("issue") as tx:
            self.token = (await self.tokens.issue(tx, self.user, "laptop")).secret

    async def quotas(self, token: str) -> dict:
        return (await self.request("GET", "/account/v1.0/quotas", token=token)).json

    async def test_quotas(self) -> None:
        """A user sees the visible resources of their projects; nobody does without a token."""
        quotas = await self.quotas(self.token)
        self.assertEqual(list(quotas), [self.user])
        self.assertEqual(quotas[self.user]["cyclades.vm"]["limit"], 4)
        self.assertNotIn("astakos.pending_app", quotas[self.user])
        for token in (None, "x"):
            answer = await self.request("GET", "/account/v1.0/quotas", token=token)
            self.assertEqual((answer.status, list(answer.json)), (401, ["unauthorized"]))

    async def test_resources(self) -> None:
        """Everybody may list the visible resources."""
        answer = await self.request("GET", "/account/v1.0/resources")
        self.assertEqual(len(answer.json), 7)
        self.assertEqual(
            answer.json["cyclades.ram"],
            {
                "service": "cyclades_compute",
                "description": "Virtual machine memory of running servers",
                "unit": "bytes",
                "ui_visible": True,
                "api_visible": True,
            },
        )

    async def test_unknown_path(self) -> None:
        """An unknown path of the component is a 400."""
        self.assertEqual((await self.request("GET", "/account/v1.0/x")).status, 400)

    async def test_new_defaults(self) -> None:
        """New defaults hold for projects that begin later, not for those there are."""
        await self.resources.modify("cyclades.vm", ResourceChanges(system_default=9))
        quotas = await self.quotas(self.token)
        self.assertEqual(quotas[self.user]["cyclades.vm"]["limit"], 4)
        later = await make_user(self.database, "bob@example.org")
        listed = (await Quota(self.database).listing(later))[later]
        self.assertEqual((listed["cyclades.vm"]["limit"], listed["cyclades.cpu"]["limit"]), (9, 16))

    async def test_visibility(self) -> None:
        """A hidden resource is hidden at once; the two flags are kept consistent."""
        await self.resources.modify("cyclades.vm", ResourceChanges(api_visible=False))
        self.assertNotIn("cyclades.vm", (await self.quotas(self.token))[self.user])
        await self.resources.modify("cyclades.vm", ResourceChanges(ui_visible=True))
        self.assertIn("cyclades.vm", (await self.quotas(self.token))[self.user])
        with self.assertRaises(BadRequest):
            await self.resources.modify(
                "cyclades.vm", ResourceChanges(api_visible=False, ui_visible=True)
            )
        with self.assertRaises(ItemNotFound):
            await self.resources.modify("no.such", ResourceChanges(system_default=1))
