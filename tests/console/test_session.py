"""A console from ticket to end, over real sockets."""

from __future__ import annotations

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from synnefo_tx.console.model import forbidden, gone, not_running, unreachable
from synnefo_tx.console.rfb import VERSION_3_8, vnc_response
from tests.console.support import SERVER_INIT, ConsoleTestCase, eventually, ticket_of


class OpeningTests(ConsoleTestCase):
    limits = evolve(
        ConsoleTestCase.limits, greeting_seconds=0.3, authentication_seconds=0.3, open_seconds=0.5
    )

    async def refusal(self, ticket):
        """What a browser that only listens is told, after the upgrade."""
        client = await self.connect()
        await client.upgrade(ticket)
        return await client.closing()

    async def test_bytes_flow_both_ways(self):
        """With a ticket and the password the user sees the screen and can type on it."""
        client = await self.opened()
        client.send(b"key pressed")
        self.assertEqual(await self.screen.last.take(11), b"key pressed")
        self.screen.last.transport.write(b"pixels")
        self.assertEqual(await client.stream(6), b"pixels")
        self.assertEqual(len(self.sessions), 1)

    async def test_all_at_once(self):
        """A client that sends its handshake in small pieces and the rest at once loses nothing."""
        client = await self.connect()
        await client.upgrade(self.issue())
        await client.stream(12)
        for byte in VERSION_3_8:
            client.send(bytes([byte]))
        await client.stream(2)
        client.send(b"\x02")
        challenge = await client.stream(16)
        client.send(vnc_response("s3cretPw", challenge) + b"\x01" + b"typed ahead")
        await client.stream(4)
        self.assertEqual(await client.stream(len(SERVER_INIT)), SERVER_INIT)
        self.assertEqual(await self.screen.last.take(11), b"typed ahead")

    async def test_browser_leaves(self):
        """Closing the page closes the connection to the screen and frees the place."""
        client = await self.opened()
        client.send(b"\x03\xe8", opcode=8)
        await self.screen.last.lost
        await client.lost
        self.assertEqual(len(self.sessions), 0)

    async def test_wrong_password(self):
        """A wrong password gets RFB's refusal with a reason, then 4403; the screen is let go."""
        client = await self.connect()
        await client.upgrade(self.issue())
        self.assertEqual(await client.authenticate("wrong"), b"\0\0\0\x01")
        self.assertEqual(await client.stream(18), b"\0\0\0\x0ewrong password")
        self.assertEqual(await client.closing(), (4403, "wrong password"))
        await self.screen.last.lost
        self.assertEqual(len(self.sessions), 0)

    async def test_bad_ticket(self):
        """An unknown ticket, and one that was used, get the same 4401."""
        ticket = self.issue()
        await (await self.connect()).enter(ticket)
        first = await self.refusal(ticket)
        self.assertEqual(first, (4401, "the ticket is unknown, used or expired"))
        self.assertEqual(await self.refusal(ticket_of(999)), first)

    async def test_refusals_of_the_owner(self):
        """What the owner of servers refuses is told with its code and reason."""
        for number, refusal in enumerate((forbidden("no right"), gone(), not_running())):
            self.targets.tickets[ticket_of(500 + number)] = refusal
            told = await self.refusal(ticket_of(500 + number))
            self.assertEqual(told, (refusal.code, refusal.reason))
        self.assertEqual(self.screen.connections, [])

    async def test_screen_unreachable(self):
        """A port where nothing listens gives 4503, without the node's name."""
        port = reactor.listenTCP(0, self.screen, interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        told = await self.refusal(self.issue(port=number))
        self.assertEqual(told, (4503, "the screen cannot be reached"))

    async def test_only_listed_ports_and_plain_addresses(self):
        """A port outside the range, a name instead of an address and a group address are not
        dialled."""
        for changes in ({"port": 0}, {"port": 65536}, {"host": "localhost"}, {"host": "224.0.0.1"}):
            told = await self.refusal(self.issue(**changes))
            self.assertEqual(told[0], 4503)
        self.assertEqual(self.screen.connections, [])

    async def test_silent_screen(self):
        """A screen that accepts and says nothing gives 4503 within the limit, and is let go."""
        self.screen.greeting = None
        self.assertEqual((await self.refusal(self.issue()))[0], 4503)
        await self.screen.last.lost

    async def test_screen_that_is_no_vnc_server(self):
        """A port that speaks something else gives 4503."""
        self.screen.greeting = b"SSH-2.0-OpenSSH_9.2p1\r\n"
        self.assertEqual((await self.refusal(self.issue()))[0], 4503)

    async def test_screen_with_a_password(self):
        """A hypervisor with its own VNC password is answered with it."""
        self.screen.greeting = VERSION_3_8 + b"\x01\x02" + bytes(16) + b"\0\0\0\0"
        client = await self.connect()
        await client.upgrade(self.issue(screen_password="hostpass"))
        self.assertEqual(await client.authenticate(), b"\0\0\0\0")
        self.assertEqual((await self.refusal(self.issue()))[0], 4503)

    async def test_no_authentication_in_time(self):
        """A browser that never authenticates gets 4403, and the screen is let go."""
        told = await self.refusal(self.issue())
        self.assertEqual(told, (4403, "no VNC authentication in time"))
        await self.screen.last.lost

    async def test_owner_does_not_answer(self):
        """When tickets cannot be looked up in time the browser gets 4503."""

        async def never(ticket, remote, lost):
            return await Deferred()

        self.targets.open = never
        self.assertEqual((await self.refusal(self.issue()))[0], 4503)

    async def test_owner_fails(self):
        """An error behind the console is logged and told as 4503 without its text."""

        async def broken(ticket, remote, lost):
            raise ZeroDivisionError("secret detail")

        self.targets.open = broken
        self.assertEqual(
            await self.refusal(self.issue()), (4503, "the console failed; it is logged")
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_rfb_garbage(self):
        """Bytes that are no RFB close the console with 4403."""
        client = await self.connect()
        await client.upgrade(self.issue())
        client.send(b"x" * 100)
        self.assertEqual((await client.closing())[0], 4403)

    async def test_flood_before_the_handshake(self):
        """Before the screen is open only a little is kept of what the browser sends."""
        self.screen.greeting = None
        client = await self.connect()
        await client.upgrade(self.issue())
        client.send(b"x" * 5000)
        self.assertEqual((await client.closing())[0], 4403)

    async def test_browser_leaves_while_it_opens(self):
        """A page closed before the screen has answered leaves nothing behind."""
        self.screen.greeting = None
        client = await self.connect()
        await client.upgrade(self.issue())
        await eventually(lambda: self.screen.connections)
        client.transport.abortConnection()
        await self.screen.last.lost
        self.assertEqual(len(self.sessions), 0)


class EndingTests(ConsoleTestCase):
    limits = evolve(ConsoleTestCase.limits, unchecked_seconds=0.4)

    async def test_owner_ends_it(self):
        """Stop, delete or a disabled user closes the console with the reason within a second."""
        for refusal in (not_running(), gone(), forbidden("the user is disabled")):
            client = await self.opened()
            started = reactor.seconds()
            self.targets.refusals = {self.sessions.targets()[0].session_key: refusal}
            self.assertEqual(await client.closing(), (refusal.code, refusal.reason))
            self.assertLess(reactor.seconds() - started, 1.0)
            await self.screen.last.lost
            self.assertEqual(len(self.sessions), 0)

    async def test_others_go_on(self):
        """Ending one server's console leaves the others alone."""
        first, second = await self.opened(server_id=1), await self.opened(server_id=2)
        self.assertEqual(self.sessions.end(gone(), server_id=1), 1)
        self.assertEqual((await first.closing())[0], 4404)
        second.send(b"still")
        self.assertEqual(await self.screen.last.take(5), b"still")

    async def test_end_of_a_user(self):
        """All consoles of a user can be ended at once."""
        mine = [await self.opened(user_uuid="a"), await self.opened(user_uuid="a")]
        await self.opened(user_uuid="b")
        self.assertEqual(self.sessions.end(forbidden("disabled"), user_uuid="a"), 2)
        for client in mine:
            self.assertEqual(await client.closing(), (4403, "disabled"))
        self.assertEqual([each.user_uuid for each in self.sessions.targets()], ["b"])

    async def test_screen_closes(self):
        """When the guest's screen goes away the browser is told why, as far as it is known."""
        client = await self.opened()
        self.screen.last.transport.loseConnection()
        self.assertEqual(await client.closing(), (4503, "the screen closed the connection"))
        client = await self.opened()
        self.targets.refusals = {self.sessions.targets()[0].session_key: not_running()}
        self.screen.last.transport.abortConnection()
        self.assertEqual((await client.closing())[0], 4409)

    async def test_last_pixels_arrive(self):
        """What the screen sent just before it closed reaches the browser before the close."""
        client = await self.opened()
        self.screen.last.transport.write(b"z" * 300_000)
        self.screen.last.transport.loseConnection()
        self.assertEqual(await client.stream(300_000), b"z" * 300_000)
        self.assertEqual((await client.closing())[0], 4503)

    async def test_rights_cannot_be_checked(self):
        """When nobody can tell whether a console may go on it is closed, not left open."""
        client = await self.opened()
        self.targets.fails = True
        self.assertEqual((await client.closing())[0], 4503)
        self.assertTrue(self.flushLoggedErrors(ConnectionError))

    async def test_short_outage_is_survived(self):
        """One failed check closes nothing."""
        client = await self.opened()
        self.targets.fails = True
        await eventually(lambda: self.flushLoggedErrors(ConnectionError))
        self.targets.fails = False
        asked = self.targets.asked
        await eventually(lambda: self.targets.asked > asked + 5)
        client.send(b"here")
        self.assertEqual(await self.screen.last.take(4), b"here")
        self.flushLoggedErrors(ConnectionError)

    async def test_client_that_ignores_the_close(self):
        """A browser that neither reads nor answers the close is cut off all the same."""
        client = await self.opened()
        client.transport.pauseProducing()
        self.sessions.end(gone(), server_id=1)
        await eventually(lambda: self.factory.connection_count == 0, seconds=1.5)

    async def test_stop_of_the_service(self):
        """Stopping the console tells every browser and leaves no connection."""
        client = await self.opened()
        stopping = self.listener.stopService()
        self.assertEqual(await client.closing(), (4503, "the console restarts"))
        await stopping
        self.assertEqual(self.factory.connection_count, 0)


class LimitTests(ConsoleTestCase):
    # A loaded machine takes its time for 200 handshakes: no limit of time is tested here.
    limits = evolve(
        ConsoleTestCase.limits,
        sessions=5,
        upgrade_seconds=60,
        open_seconds=60,
        greeting_seconds=60,
        authentication_seconds=60,
        closing_seconds=5,
    )

    async def told(self, **changes):
        client = await self.connect()
        await client.upgrade(self.issue(**changes))
        return await client.closing()

    async def test_one_ticket_one_session(self):
        """Of 200 connections with one ticket exactly one sees the screen."""
        ticket = self.issue()
        clients = [await self.connect() for _ in range(200)]
        for client in clients:
            client.ask(f"/console/{ticket}")
        codes = []
        for client in clients:
            await client.reply()
            opcode, payload = await client.frame(20)
            codes.append(int.from_bytes(payload[:2], "big") if opcode == 8 else payload)
        self.assertEqual(codes.count(VERSION_3_8), 1)
        self.assertEqual(codes.count(4401), 199)
        self.assertEqual(len(self.screen.connections), 1)

    async def test_in_all(self):
        """Beyond the process's limit 4429."""
        for number in range(5):
            await self.opened(user_uuid=f"user {number}")
        self.assertEqual((await self.told(user_uuid="one more"))[0], 4429)

    async def test_reason_fits_a_close_frame(self):
        """A reason of any length is cut to 123 bytes at a character's end."""
        self.targets.tickets[ticket_of(1)] = unreachable("ä" * 100)
        client = await self.connect()
        await client.upgrade(ticket_of(1))
        self.assertEqual(await client.closing(), (4503, "ä" * 61))
