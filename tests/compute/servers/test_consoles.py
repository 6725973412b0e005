"""Who may see which screen: decided anew when a ticket is used, and while a console lives."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from synnefo_tx.application import Application, build
from synnefo_tx.caller import Caller
from synnefo_tx.console.model import Refusal, Target
from synnefo_tx.faults import BadRequest, ItemNotFound, ServiceUnavailable, TooManyRequests
from synnefo_tx.ganeti.memory import CallFault, Fault
from synnefo_tx.identity.users.model import UserChanges
from tests.support.cloud import CloudTestCase
from tests.support.keyring import fixed_keyring
from tests.support.processes import until


class ConsoleTestCase(CloudTestCase):
    """Tickets, and what they lead to."""

    async def issue(self, id: int) -> str:
        """A ticket for a server of the user's."""
        reply = await self.app.console.consoles.issue(self.user, id, "vnc-wss", "127.0.0.1")
        return reply["url"].rpartition("/")[2]

    async def setUp(self) -> None:
        await super().setUp()
        self.lost: list[Refusal] = []

    async def open(self, ticket: str, process: Application | None = None) -> Target | Refusal:
        """What a ticket leads to; its console is closed with the test."""
        consoles = (process or self.app).console.consoles
        target = await consoles.open(ticket, "127.0.0.1", self.lost.append)
        if isinstance(target, Target):
            self.addCleanup(lambda: Deferred.fromCoroutine(consoles.closed(target)))
        return target

    async def told(self) -> Refusal:
        """Why the console was lost, told within a second."""

        async def is_told() -> bool:
            return bool(self.lost)

        await until(is_told, 1.0, "the console is lost")
        return self.lost.pop()

    async def verify(self, target: Target, process: Application | None = None) -> int | None:
        """The close code of a live console that must end, None for one that may go on."""
        refused = await (process or self.app).console.consoles.verify([target])
        return refused[target.session_key].code if refused else None


class ConsoleTests(ConsoleTestCase):
    async def test_target(self) -> None:
        """A ticket leads to the node, port and instance of its server, once."""
        id = await self.built()
        ticket = await self.issue(id)
        target = await self.open(ticket)
        self.assertIsInstance(target, Target)
        self.assertEqual((target.server_id, target.host), (id, "127.0.0.1"))
        self.assertEqual(len(target.password), 8)
        self.assertGreaterEqual(target.port, 11000)
        again = await self.open(ticket)
        self.assertEqual(again.code, 4401)
        self.assertEqual((await self.open("x" * 43)).code, 4401)

    async def test_reply(self) -> None:
        """The reply has the original's keys, and a URL below console_url."""
        id = await self.built()
        reply = await self.app.console.consoles.issue(self.user, id, "vnc-wss", "127.0.0.1")
        self.assertEqual(set(reply), {"type", "host", "port", "password", "url"})
        self.assertTrue(reply["url"].startswith(f"{self.settings.console_url}/"))

    async def test_reused_place(self) -> None:
        """A ticket for a server that is gone never opens the guest that has its place now."""
        first = await self.built()
        ticket = await self.issue(first)
        old = self.instances()[f"snf-{first}"]
        await self.app.compute.actions.delete(self.user, first)
        await self.settle()
        await self.built()
        self.assertEqual((await self.open(ticket)).code, 4404)
        self.assertNotIn(old.uuid, [each.uuid for each in self.instances().values()])

    async def test_replaced_instance(self) -> None:
        """Another instance under the server's name is not the one that the ticket was for."""
        id = await self.built()
        ticket = await self.issue(id)
        async with self.database.transaction("replace") as tx:
            await tx.run("UPDATE console_tickets SET instance = 'another'")
        self.assertEqual((await self.open(ticket)).code, 4404)

    async def test_ends(self) -> None:
        """Stop, removal, and disabling the user end a console; each has its code."""
        id = await self.built()
        target = await self.open(await self.issue(id))
        self.assertIsNone(await self.verify(target))
        users = self.app.identity.users
        await users.modify(self.user.user, UserChanges(state="deactivate"))
        self.assertEqual((await self.told()).code, 4403)
        await users.modify(self.user.user, UserChanges(state="activate"))
        await self.app.compute.actions.shutdown(self.user, id)
        await self.settle()
        self.assertEqual(await self.verify(target), 4409)
        await self.app.compute.actions.delete(self.user, id)
        await self.settle()
        self.assertEqual(await self.verify(target), 4404)

    async def test_not_running(self) -> None:
        """A server that does not run has no console, before its ticket and after."""
        id = await self.built()
        ticket = await self.issue(id)
        await self.app.compute.actions.shutdown(self.user, id)
        await self.settle()
        self.assertEqual((await self.open(ticket)).code, 4409)
        with self.assertRaises(BadRequest):
            await self.issue(id)

    async def test_guest_ended_by_itself(self) -> None:
        """A guest that has ended is told so, though the server still counts as running."""
        id = await self.built()
        self.ganeti["alpha"].kill_guest(f"snf-{id}")
        with self.assertRaises(BadRequest):
            await self.issue(id)

    async def test_cluster_away(self) -> None:
        """A cluster that does not answer is a 503 for the ticket and 4503 for its use."""
        id = await self.built()
        ticket = await self.issue(id)
        self.ganeti["alpha"].faults.add(Fault(CallFault.BAD_GATEWAY, times=2))
        with self.assertRaises(ServiceUnavailable):
            await self.issue(id)
        self.assertEqual((await self.open(ticket)).code, 4503)

    async def test_stranger(self) -> None:
        """Nobody else gets a ticket."""
        id = await self.built()
        stranger = await self.make_caller("stranger@example.org")
        with self.assertRaises(ItemNotFound):
            await self.app.console.consoles.issue(stranger, id, "vnc-wss", "127.0.0.1")

    async def test_hoarded_tickets(self) -> None:
        """A user holds a few unused tickets at most; others are not affected."""
        id = await self.built()
        with self.assertRaises(TooManyRequests):
            for _ in range(200):
                await self.issue(id)
        other = await self.make_caller("other@example.org")
        theirs = await self.built(other)
        await self.app.console.consoles.issue(other, theirs, "vnc-wss", "127.0.0.1")


class PlaceTests(ConsoleTestCase):
    """Limits on live consoles, as two processes see them."""

    async def setUp(self) -> None:
        await super().setUp()
        self.other = build(self.settings, self.database, fixed_keyring(), self.edges())

    async def session(self, id: int, process: Application, user: Caller | None = None):
        """What a ticket leads to in a process."""
        asked = await self.app.console.consoles.issue(user or self.user, id, "vnc-wss", "127.0.0.1")
        return await self.open(asked["url"].rpartition("/")[2], process)

    async def pass_time(self, seconds: float) -> None:
        async with self.database.transaction("later") as tx:
            await tx.run(
                "UPDATE console_sessions SET expires = expires - make_interval(secs => %(s)s)",
                {"s": seconds},
            )

    async def test_per_server(self) -> None:
        """A server has two consoles in all processes together; a closed one makes room."""
        id = await self.built()
        first = await self.session(id, self.app)
        await self.session(id, self.other)
        for process in (self.app, self.other):
            self.assertEqual((await self.session(id, process)).code, 4429)
        await self.app.console.consoles.closed(first)
        self.assertIsInstance(await self.session(id, self.other), Target)

    async def test_per_user(self) -> None:
        """A user has eight consoles in all processes together; others are not affected."""
        async with self.database.transaction("full") as tx:
            for number in range(8):
                key, server = f"session {number}", 1000 + number
                self.assertIsNone(
                    await self.app.console.places.take(tx, key, self.user.user, server)
                )
        refused = await self.session(await self.built(), self.other)
        self.assertEqual((refused.code, refused.reason), (4429, "you have 8 consoles open already"))
        someone = await self.make_caller("someone@example.org")
        theirs = await self.built(someone)
        self.assertIsInstance(await self.session(theirs, self.other, someone), Target)

    async def test_dead_process(self) -> None:
        """The places of a process that died are free after their lease, those of others not."""
        id = await self.built()
        await self.session(id, self.app)
        living = await self.session(id, self.other)
        await self.pass_time(10)
        self.assertIsNone(await self.verify(living, self.other))
        await self.pass_time(6)
        self.assertIsInstance(await self.session(id, self.app), Target)
        self.assertEqual((await self.session(id, self.app)).code, 4429)

    async def test_closed_while_verified(self) -> None:
        """A console that was closed while it was looked at gets no place anew."""
        target = await self.session(await self.built(), self.app)
        await self.app.console.consoles.closed(target)
        self.assertIsNone(await self.verify(target))
        self.assertEqual(await self.database.read("SELECT * FROM console_sessions"), [])

    async def test_token(self) -> None:
        """A console ends in whichever process, when the token that asked for it is revoked."""
        secret = await self.token(self.user)
        caller = await self.app.identity.tokens.authenticate(secret)
        target = await self.session(await self.built(), self.other, caller)
        self.assertIsInstance(target, Target)
        async with self.database.transaction("revoke") as tx:
            await self.app.identity.tokens.revoke(tx, caller.user, caller.token_id)
        refusal = await self.told()
        self.assertEqual(refusal.code, 4403)
        self.assertIn("token", refusal.reason)
