"""The outbox: what is sent, when, how often, and what operators see of it."""

from __future__ import annotations

from psycopg2 import errors
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from synnefo_tx.faults import ItemNotFound
from synnefo_tx.keyring.operations import Keyring
from synnefo_tx.keyring.rotation import Rotation
from synnefo_tx.mail.model import NotSent, Recipient, Refused
from synnefo_tx.mail.operations import SEALED, Mails
from synnefo_tx.settings import MailSettings
from tests.support.accounts import TEMPLATES
from tests.support.application import CommandTestCase
from tests.support.database import DatabaseTestCase
from tests.support.keyring import MemoryKeys, fixed_keyring

ANN = Recipient("ann@example.org", "Ann")


class Hand:
    """A carrier that does what a test tells: nothing, or raise."""

    def __init__(self) -> None:
        self.carried: list[tuple[str, bytes]] = []
        self.answers: list[Exception] = []
        self.held: Deferred[None] | None = None

    async def carry(self, recipient: str, message: bytes) -> None:
        self.carried.append((recipient, message))
        if self.held is not None:
            await self.held
        if self.answers:
            raise self.answers.pop(0)


class OutboxTests(DatabaseTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.hand = Hand()
        self.keys = MemoryKeys()
        self.mails = self.process()

    def process(self) -> Mails:
        """The outbox as another process sees it."""
        settings = MailSettings(attempts_max=3, kept_days=1)
        return Mails(self.database, Keyring(self.keys), settings, TEMPLATES, self.hand, bytes)

    async def queue(self, to: Recipient = ANN, name: str = "Ann") -> int:
        async with self.database.transaction("act") as tx:
            return await self.mails.queue(tx, to, "welcome", {"name": name})

    async def later(self, seconds: int) -> None:
        """Let time pass in the database."""
        async with self.database.transaction("clock") as tx:
            await tx.run(
                "CREATE OR REPLACE FUNCTION synnefo_now() RETURNS timestamptz LANGUAGE sql STABLE"
                f" AS $$ SELECT now() + interval '{seconds} seconds' $$"
            )

    async def only(self):
        (mail,) = await self.mails.listing()
        return mail

    async def test_sent(self) -> None:
        """A mail that was written with what held goes out once, in its language."""
        await self.queue(Recipient("ann@example.org", "Ann", "el"))
        self.assertEqual(await self.mails.deliver(), 1)
        self.assertEqual(await self.mails.deliver(), 0)
        ((recipient, message),) = self.hand.carried
        self.assertEqual(recipient, "ann@example.org")
        self.assertIn(b"To: Ann <ann@example.org>", message)
        mail = await self.only()
        self.assertEqual((mail.state, mail.attempts), ("sent", 1))
        self.assertIn("ενεργός", mail.subject)

    async def test_rolled_back(self) -> None:
        """What was undone sends nothing."""
        with self.assertRaises(errors.DivisionByZero):
            async with self.database.transaction("act") as tx:
                await self.mails.queue(tx, ANN, "welcome", {"name": "Ann"})
                await tx.run("SELECT 1 / 0")
        self.assertEqual(await self.mails.deliver(), 0)

    async def test_again(self) -> None:
        """What was not taken is tried again, not before its pause is over, with the same id."""
        await self.queue()
        self.hand.answers = [NotSent("busy")]
        await self.mails.deliver()
        await self.mails.deliver()
        self.assertEqual(len(self.hand.carried), 1)
        mail = await self.only()
        self.assertEqual((mail.state, mail.error), ("waiting", "busy"))
        await self.later(31)
        self.assertEqual(await self.mails.deliver(), 1)
        first, second = (message for _, message in self.hand.carried)
        self.assertEqual(first, second)

    async def test_given_up(self) -> None:
        """After the last attempt a mail is given up; one that is refused, or has no address, at
        once. Others go on."""
        await self.queue()
        self.hand.answers = [NotSent("busy")] * 3
        for seconds in (0, 100, 1000):
            await self.later(seconds)
            await self.mails.deliver()
        self.assertEqual((await self.only()).state, "failed")
        await self.queue()
        await self.queue(Recipient("no address"))
        await self.queue()
        self.hand.answers = [Refused("550")]
        await self.mails.deliver()
        states = sorted(each.state for each in await self.mails.listing())
        self.assertEqual(states, ["failed", "failed", "failed", "sent"])

    async def test_unexpected(self) -> None:
        """A mail that meets an error nobody thought of is put off and given up as others are, and
        keeps none of those beside it."""
        await self.queue()
        await self.queue(Recipient("ben@example.org"))
        self.hand.answers = [KeyError("x")]
        for seconds in (0, 100, 1000):
            await self.later(seconds)
            self.hand.answers = [KeyError("x")]
            await self.mails.deliver()
            self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        ben, ann = await self.mails.listing()
        self.assertEqual((ann.state, ann.error), ("failed", "unexpected: KeyError"))
        self.assertEqual((ben.state, ben.attempts), ("sent", 1))

    async def test_one_settled_late(self) -> None:
        """A run of the timer ends when every mail that it took is settled, although the settling of
        one fails."""
        await self.queue(Recipient("first@example.org"))
        await self.queue(Recipient("second@example.org"))
        self.hand.held = Deferred()
        running = Deferred.fromCoroutine(self.mails.deliver())
        while len(self.hand.carried) < 2:
            await self.database.read("SELECT 1")
        async with self.database.transaction("break") as tx:
            await tx.run("ALTER TABLE mail_outbox ADD CHECK (state <> 'sent' OR id > 1)")
        self.hand.held.callback(None)
        with self.assertRaises(errors.CheckViolation):
            await running
        self.assertEqual([each.state for each in await self.mails.listing()], ["sent", "waiting"])

    async def test_two_at_once(self) -> None:
        """Two processes that deliver at once send each mail once."""
        for _ in range(10):
            await self.queue()
        both = [self.mails.deliver(), self.process().deliver()]
        await gatherResults([Deferred.fromCoroutine(each) for each in both])
        self.assertEqual(len(self.hand.carried), 10)
        ids = {message.split(b"\n")[0] for _, message in self.hand.carried}
        self.assertEqual(len(ids), 10)

    async def test_died(self) -> None:
        """A mail whose sender died goes again when the claim is over; the first one, waking up
        late, settles nothing."""
        await self.queue()
        self.hand.held = Deferred()
        slow = Deferred.fromCoroutine(self.mails.deliver())
        while not self.hand.carried:
            await self.database.read("SELECT 1")
        first, self.hand.held = self.hand.held, None
        self.assertEqual(await self.process().deliver(), 0)
        await self.later(601)
        self.hand.answers = [NotSent("busy")]
        self.assertEqual(await self.process().deliver(), 0)
        first.callback(None)
        await slow
        mail = await self.only()
        self.assertEqual((mail.state, mail.attempts, mail.error), ("waiting", 2, "busy"))

    async def test_text(self) -> None:
        """What a mail says is readable in no row: sealed while it may go out, gone when it went.
        One that was given up can be sent still."""
        await self.queue(name="the-secret")
        self.assertNotIn("the-secret", await self.stored())
        self.hand.answers = [Refused("550")]
        await self.mails.deliver()
        self.assertNotIn("the-secret", await self.stored())
        await self.mails.retry((await self.only()).id)
        await self.mails.deliver()
        (_, first), (_, second) = self.hand.carried
        self.assertIn(b"the-secret", first)
        self.assertEqual(first, second)
        rows = await self.database.read("SELECT sealed, state FROM mail_outbox")
        self.assertEqual(rows, [(None, "sent")])
        with self.assertRaises(ItemNotFound):
            await self.mails.retry((await self.only()).id)

    async def stored(self) -> str:
        """All that the outbox's rows show."""
        (row,) = await self.database.read(
            "SELECT concat(o::text, encode(sealed, 'escape')) FROM mail_outbox o"
        )
        return row[0]

    async def test_rotated(self) -> None:
        """A mail that waits while secrets get another key goes out with what it said; without its
        key it is put off, for the key may come back."""
        await self.queue(name="Ann")
        rotation = Rotation(
            self.database, Keyring(self.keys), (SEALED,), reactor, heard_seconds=0.0
        )
        done = await rotation.rotate(lambda count, total: None)
        self.assertEqual(done.count, 1)
        await rotation.retire()
        kept, self.keys.versions = self.keys.versions, [7]
        self.mails = self.process()
        self.assertEqual(await self.mails.deliver(), 0)
        mail = await self.only()
        self.assertEqual(mail.state, "waiting")
        self.assertIn("no key database version 2", mail.error)
        self.keys.versions = kept
        await self.later(31)
        self.assertEqual(await self.process().deliver(), 1)
        self.assertIn(b"Dear Ann", self.hand.carried[0][1])

    async def test_counts(self) -> None:
        """Mails are counted by state, with the age of the oldest that waits, and go in the end."""
        await self.queue()
        await self.mails.deliver()
        await self.queue()
        await self.later(50)
        counts = await self.mails.counts()
        self.assertEqual((counts.waiting, counts.sent, counts.failed), (1, 1, 0))
        self.assertTrue(50 <= counts.oldest_seconds < 60)
        await self.later(2 * 86400)
        async with self.database.transaction("sweep") as tx:
            self.assertEqual(await self.mails.sweep(tx), 1)
        self.assertEqual((await self.only()).state, "waiting")


class CommandTests(CommandTestCase):
    async def test_welcome(self) -> None:
        """Who is accepted gets a mail, written with the acceptance; a name with template code in it
        stays as it is."""
        await self.records("user-add", "ann@example.org", "{{7*7}}", "L", "--password", "Word-7-x")
        await self.command("user-modify", "1", "--verify")
        self.assertEqual(await self.records("mail-list"), [])
        ran = await self.command("user-modify", "1", "--accept")
        self.assertEqual(ran.status, 0, ran.err)
        (mail,) = await self.app.mails.listing()
        self.assertEqual((mail.recipient, mail.template), ("ann@example.org", "welcome"))
        hand = Hand()
        await Mails(
            self.database, fixed_keyring(), MailSettings(), TEMPLATES, hand, bytes
        ).deliver()
        ((_, message),) = hand.carried
        self.assertIn(b"Dear {{7*7}} L,", message)

    async def test_retry(self) -> None:
        """An operator lists mails and has one that was given up tried again; the list shows no
        text, which may hold a secret."""
        async with self.database.transaction("act") as tx:
            await self.app.mails.queue(tx, Recipient("no address"), "welcome", {"name": "Ann"})
        self.assertIn("no mail 1", await self.refusal_of("mail-retry", "1"))
        await self.app.mails.deliver()
        fields = {each["Field"] for each in await self.records("mail-list", "--list-fields")}
        self.assertFalse({"text", "html", "body_text"} & fields)
        (row,) = await self.records("mail-list", "--state", "failed")
        self.assertEqual(await self.records("mail-list", "--state", "sent"), [])
        self.assertIn("no address", row["error"])
        ran = await self.command("mail-retry", "1")
        self.assertEqual(ran.status, 0, ran.err)
        (row,) = await self.records("mail-list", "-o", "state,attempts")
        self.assertEqual((row["state"], row["attempts"]), ("waiting", "0"))
        (last, *_) = await self.records("journal-list", "-o", "action,object")
        self.assertEqual((last["action"], last["object"]), ("mail:mail:retry", "1"))

    async def refusal_of(self, *argv: str) -> str:
        ran = await self.command(*argv)
        self.assertEqual(ran.status, 1)
        return ran.err
