"""The client against a peer whose every octet the test decides."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from txamqp.connection import Frame, Method

from synnefo_tx.ganeti.broker import frames
from synnefo_tx.ganeti.broker.link import AmqpLink, LinkLimits
from synnefo_tx.ganeti.broker.model import (
    BODY_MAX_BYTES,
    BrokerLost,
    BrokerRefused,
    Message,
    NotTaken,
    Unroutable,
)
from synnefo_tx.ganeti.broker.protocol import AmqpProtocol, Login
from synnefo_tx.ganeti.broker.spec import SPEC
from synnefo_tx.ganeti.broker.tables import encode_properties

LIMITS = LinkLimits(answer_seconds=30.0, heartbeat_seconds=20)
PASSWORD = "pässword"


class Transport(StringTransport):
    """Tells when the client ended the connection."""

    aborted = False

    def abortConnection(self):
        self.aborted = True
        super().abortConnection()


class Peer:
    """A broker's side of a connection, played by hand."""

    def __init__(self):
        self.clock = Clock()
        self.protocol = AmqpProtocol(Login("me", PASSWORD), 20, self.clock)
        self.transport = Transport()
        self.protocol.makeConnection(self.transport)
        self.link = AmqpLink(self.protocol, "amqp://peer:1", LIMITS, self.clock)
        self.opening = Deferred.fromCoroutine(self.link.open())

    def written(self):
        """What the client wrote since."""
        data = self.transport.value()
        self.transport.clear()
        return data

    def say(self, channel, name, *arguments):
        group, method = name.split(".")
        known = SPEC.classes.byname[group].methods.byname[method]
        frame = Frame(channel, Method(known, *arguments))
        self.protocol.dataReceived(self.protocol._pack_frame(frame))

    def open(self, frame_max=4096, heartbeat=10):
        self.say(0, "connection.start", 0, 9, "", "AMQPLAIN PLAIN", "en_US")
        self.say(0, "connection.tune", 2047, frame_max, heartbeat)
        self.say(0, "connection.open-ok", "")
        self.say(1, "channel.open-ok", "")
        self.say(1, "confirm.select-ok")
        return self

    def basic(self, method, arguments):
        payload = struct.pack(">HH", 60, method) + arguments
        self.raw(1, payload)

    def raw(self, kind, payload):
        self.protocol.dataReceived(struct.pack(">BHI", kind, 1, len(payload)) + payload + b"\xce")

    def content(self, properties, *pieces, size=None):
        total = sum(map(len, pieces)) if size is None else size
        self.raw(2, struct.pack(">HHQ", 60, 0, total) + properties)
        for piece in pieces:
            self.raw(3, piece)

    def deliver(self, tag, *pieces, queue="q"):
        name = queue.encode()
        self.basic(
            frames.DELIVER,
            bytes((len(name),)) + name + struct.pack(">QB", tag, 0) + b"\x01e\x01k",
        )
        self.content(b"\0\0", *pieces)

    def consume(self, queue="q"):
        received = []
        consuming = Deferred.fromCoroutine(self.link.consume(queue, 8, received.append))
        self.say(1, "basic.qos-ok")
        self.say(1, "basic.consume-ok", queue)
        assert consuming.called
        return received

    def lose(self):
        self.protocol.connectionLost(Failure(ConnectionLost("cut")))


class LogInTests(SynchronousTestCase):
    """The way to an open channel."""

    def test_order(self):
        """The client begins with the preamble of 0-9-1 and logs in by PLAIN, in UTF-8."""
        peer = Peer()
        self.assertEqual(peer.written(), b"AMQP\0\0\x09\x01")
        peer.say(0, "connection.start", 0, 9, "", "AMQPLAIN PLAIN", "en_US")
        response = b"\0me\0" + PASSWORD.encode()
        self.assertIn(struct.pack(">I", len(response)) + response, peer.written())
        peer.say(0, "connection.tune", 2047, 4096, 10)
        # channels, frame size, heartbeat: the smaller of both.
        self.assertIn(struct.pack(">HIH", 16, 4096, 10), peer.written())
        peer.say(0, "connection.open-ok", "")
        peer.say(1, "channel.open-ok", "")
        self.assertNoResult(peer.opening)
        peer.say(1, "confirm.select-ok")
        self.successResultOf(peer.opening)

    def test_without_plain(self):
        """A broker that offers no PLAIN gets no password."""
        peer = Peer()
        peer.written()
        peer.say(0, "connection.start", 0, 9, "", "EXTERNAL", "en_US")
        self.assertTrue(peer.transport.aborted)
        peer.lose()
        failure = self.failureResultOf(peer.opening, BrokerRefused)
        self.assertNotIn(PASSWORD.encode(), peer.written())
        self.assertIn("PLAIN", str(failure.value))

    def test_refused(self):
        """Wrong credentials are a refusal with the broker's words."""
        peer = Peer()
        peer.say(0, "connection.start", 0, 9, "", "PLAIN", "en_US")
        peer.say(0, "connection.close", 403, "ACCESS_REFUSED", 0, 0)
        failure = self.failureResultOf(peer.opening, BrokerRefused)
        self.assertIn("403 ACCESS_REFUSED", str(failure.value))
        self.assertNotIn(PASSWORD, str(failure.value))

    def test_no_answer(self):
        """A broker that says nothing is given up after the limit."""
        peer = Peer()
        peer.clock.advance(LIMITS.answer_seconds + 1)
        self.failureResultOf(peer.opening, BrokerLost)
        self.assertTrue(peer.transport.aborted)

    def test_other_protocol(self):
        """A peer that speaks another version ends the connection, nothing else."""
        for data in (b"AMQP\0\x01\0\0", b"HTTP/1.1 400 Bad Request\r\n"):
            peer = Peer()
            peer.protocol.dataReceived(data)
            self.assertTrue(peer.transport.aborted)
            peer.lose()
            self.failureResultOf(peer.opening, BrokerLost)

    @given(st.lists(st.binary(max_size=64), max_size=4))
    def test_garbage(self, pieces):
        """Whatever a peer sends before or after the log-in, no exception leaves the client."""
        for peer in (Peer(), Peer().open()):
            for piece in pieces:
                peer.protocol.dataReceived(piece)
            peer.lose()
            peer.opening.addErrback(lambda failure: failure.trap(BrokerLost, BrokerRefused))
            self.successResultOf(peer.opening)
        self.flushLoggedErrors()


class HeartbeatTests(SynchronousTestCase):
    """Signs of life in both directions."""

    def test_sent(self):
        """An idle client sends heartbeats, twice in the agreed time."""
        peer = Peer().open(heartbeat=10)
        peer.written()
        peer.clock.advance(5)
        peer.clock.advance(5)
        self.assertIn(frames.HEARTBEAT, peer.written())

    def test_silent_broker(self):
        """A broker that is silent for two heartbeats is given up."""
        peer = Peer().open(heartbeat=10)
        peer.clock.pump([5] * 4)
        self.assertFalse(peer.transport.aborted)
        peer.clock.pump([5] * 2)
        self.assertTrue(peer.transport.aborted)

    def test_living_broker(self):
        """Heartbeats of the broker keep the connection, for hours."""
        peer = Peer().open(heartbeat=10)
        for _ in range(1000):
            peer.clock.advance(5)
            peer.protocol.dataReceived(b"\x08\0\0\0\0\0\0\xce")
        self.assertFalse(peer.transport.aborted)


class PublishTests(SynchronousTestCase):
    """Confirms and returns."""

    def setUp(self):
        self.peer = Peer().open()
        self.published = [self.peer.link.publish(Message("e", "k", b"x")) for _ in range(4)]

    def settle(self, method, tag, bits=0):
        self.peer.basic(method, struct.pack(">QB", tag, bits))

    def test_single_and_multiple(self):
        """A confirm settles its own message, or all up to it."""
        self.settle(frames.ACK, 2)
        self.assertEqual([each.called for each in self.published], [False, True, False, False])
        self.settle(frames.ACK, 3, 1)
        self.assertEqual([each.called for each in self.published], [True, True, True, False])

    def test_not_taken(self):
        """A nack fails its message."""
        self.settle(frames.NACK, 1)
        self.failureResultOf(self.published[0], NotTaken)

    def test_returned(self):
        """A message that no queue takes fails, though the broker confirms it."""
        self.peer.basic(frames.RETURN, struct.pack(">H", 312) + b"\x08NO_ROUTE\x01e\x01k")
        self.peer.content(encode_properties({"message_id": "3"}), b"x")
        self.settle(frames.ACK, 4, 1)
        self.failureResultOf(self.published[2], Unroutable)
        for each in (0, 1, 3):
            self.successResultOf(self.published[each])

    def test_lost(self):
        """With the connection all unconfirmed messages fail, and every further one."""
        self.peer.lose()
        for each in [*self.published, self.peer.link.publish(Message("e", "k", b"x"))]:
            self.failureResultOf(each, BrokerLost)

    def test_large_body_is_cut_into_frames(self):
        """A body longer than the agreed frame goes in several, and is its own octets."""
        body = "ä".encode() * 5000
        self.peer.written()
        self.peer.link.publish(Message("e", "k", body))
        written = self.peer.written()
        pieces = [
            written[begin:end] for kind, _, begin, end in frames.split(written, 4096) if kind == 3
        ]
        self.assertEqual(b"".join(pieces), body)
        self.assertEqual(len(pieces), 3)

    def test_too_large(self):
        """A body above the limit is refused before anything is sent."""
        self.assertRaises(ValueError, Message, "e", "k", b"x" * (BODY_MAX_BYTES + 1))


class DeliveryTests(SynchronousTestCase):
    """What arrives."""

    def test_bodies_are_bytes(self):
        """A body arrives as its octets, also when cut inside a letter, or at any octet."""
        peer = Peer().open()
        received = peer.consume()
        body = "ä".encode()
        peer.deliver(1, body[:1], body[1:])
        peer.deliver(2)
        peer.deliver(3, b"\xff\xfe")
        self.assertEqual([each.body for each in received], [body, b"", b"\xff\xfe"])

    def test_octet_by_octet(self):
        """It does not matter in which pieces the network brings the octets."""
        peer = Peer().open()
        received = peer.consume()
        whole = []
        peer.protocol.dataReceived, kept = whole.append, peer.protocol.dataReceived
        peer.deliver(1, b"abc")
        for octet in b"".join(whole):
            kept(bytes((octet,)))
        self.assertEqual([each.body for each in received], [b"abc"])

    def test_oversized(self):
        """A body above the limit is not kept, but told, and the next one arrives."""
        peer = Peer().open()
        received = peer.consume()
        size = BODY_MAX_BYTES + 1
        peer.basic(frames.DELIVER, b"\x01q" + struct.pack(">QB", 1, 0) + b"\x01e\x01k")
        peer.content(b"\0\0", size=size)
        for at in range(0, size, 4000):
            peer.raw(3, b"x" * min(4000, size - at))
        peer.deliver(2, b"small")
        self.assertEqual(
            [(d.oversized, d.body) for d in received], [(True, b""), (False, b"small")]
        )

    def test_long_frame(self):
        """A frame beyond what was agreed ends the connection before it is read."""
        peer = Peer().open(frame_max=4096)
        peer.protocol.dataReceived(struct.pack(">BHI", 3, 1, 100_000))
        self.assertTrue(peer.transport.aborted)

    def test_cancelled_consumer(self):
        """When the broker ends a consumer, the link is over: a new one consumes again."""
        peer = Peer().open()
        peer.consume()
        peer.say(1, "basic.cancel", "q", True)
        self.assertTrue(peer.transport.aborted)

    def test_get(self):
        """One message, and the end of a queue."""
        peer = Peer().open()
        first, second = (Deferred.fromCoroutine(peer.link.get("q")) for _ in range(2))
        peer.basic(frames.GET_OK, struct.pack(">QB", 7, 1) + b"\x01e\x01k" + struct.pack(">I", 0))
        peer.content(b"\0\0", b"x")
        peer.basic(frames.GET_EMPTY, b"\0")
        delivery = self.successResultOf(first)
        self.assertEqual((delivery.tag, delivery.body, delivery.redelivered), (7, b"x", True))
        self.assertIsNone(self.successResultOf(second))

    def test_acknowledgements(self):
        """Deliveries are acknowledged one by one or in batches, and rejected."""
        peer = Peer().open()
        peer.written()
        peer.link.acknowledge(9, multiple=True)
        peer.link.reject(10, requeue=False)
        ack = struct.pack(">HHQB", 60, frames.ACK, 9, 1)
        reject = struct.pack(">HHQB", 60, frames.REJECT, 10, 0)
        written = peer.written()
        self.assertIn(ack, written)
        self.assertIn(reject, written)


class CallTests(SynchronousTestCase):
    """Questions and answers."""

    def test_refused(self):
        """A channel that the broker closes is a refusal with its words, and the link's end."""
        peer = Peer().open()
        asking = Deferred.fromCoroutine(peer.link.queue_length("q"))
        lost = Deferred.fromCoroutine(peer.link.until_lost())
        peer.say(1, "channel.close", 404, "NOT_FOUND", 50, 10)
        self.assertIn("404 NOT_FOUND", str(self.failureResultOf(asking, BrokerRefused).value))
        peer.lose()
        self.assertIsInstance(self.successResultOf(lost), BrokerRefused)

    def test_given_up(self):
        """Who gives up waiting for an answer ends the link: the next answer would be wrong."""
        peer = Peer().open()
        asking = Deferred.fromCoroutine(peer.link.queue_length("q"))
        asking.cancel()
        self.failureResultOf(asking)
        self.assertTrue(peer.transport.aborted)

    def test_no_answer(self):
        """An answer that does not come is the end of the link."""
        peer = Peer().open(heartbeat=0)
        asking = Deferred.fromCoroutine(peer.link.queue_length("q"))
        for _ in range(40):
            peer.clock.advance(1)
            peer.protocol.dataReceived(b"\x08\0\0\0\0\0\0\xce")
        self.failureResultOf(asking, BrokerLost)

    def test_close(self):
        """A link says good bye, and does not wait for ever for an answer."""
        peer = Peer().open()
        closing = Deferred.fromCoroutine(peer.link.close())
        self.assertNoResult(closing)
        peer.clock.advance(LIMITS.close_seconds)
        self.successResultOf(closing)
        self.assertTrue(peer.transport.aborted)
