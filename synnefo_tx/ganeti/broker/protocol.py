"""txamqp's client, hardened.

What differs from ``AMQClient``: the preamble is that of 0-9-1; frames are bounded and read without
decoding bodies; deliveries, returns and acknowledgements are taken from the buffer and handed on
at once (``frames``); heartbeats are negotiated and kept on both sides, whatever the traffic; what
a broker sends that is no AMQP ends the connection and nothing else.
"""

from __future__ import annotations

from typing import Any, Protocol

from attrs import field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from txamqp.client import TwistedDelegate
from txamqp.codec import EOF
from txamqp.protocol import AMQClient, GarbageException

from synnefo_tx.ganeti.broker import frames
from synnefo_tx.ganeti.broker.frames import BrokenFrame, Content
from synnefo_tx.ganeti.broker.model import BODY_MAX_BYTES
from synnefo_tx.ganeti.broker.spec import BASIC, FRAME_BODY, FRAME_HEADER, FRAME_METHOD, SPEC
from synnefo_tx.ganeti.broker.tables import encode_table

FRAME_MAX_BYTES = 131072
CHANNELS_MAX = 16
# Two missed heartbeats; the loop looks twice in each (AMQP 0-9-1 §4.2.7).
SILENT_LOOKS_MAX = 4
# Replies that say no, rather than that the broker goes away (AMQP 0-9-1 §1.2).
REFUSALS = frozenset((311, 402, 403, 404, 405, 406, 501, 502, 503, 530, 540))

CLIENT_PROPERTIES = encode_table(
    {
        "product": "synnefo",
        "capabilities": {
            "publisher_confirms": True,
            "basic.nack": True,
            "consumer_cancel_notify": True,
            "authentication_failure_close": True,
        },
    }
)


@frozen
class Login:
    """As whom and where to log in."""

    user: str
    password: str = field(repr=False)
    vhost: str = "/"


class Listener(Protocol):
    """Who hears what the fast path reads."""

    def content(self, content: Content, properties: bytes, body: bytes | None) -> None:
        """A delivery, return or get-ok is complete; ``body`` is None if it was too large."""

    def settled(self, tag: int, multiple: bool, taken: bool) -> None:
        """The broker has taken messages, or not."""

    def nothing(self) -> None:
        """The queue that was asked for a message is empty."""

    def lost(self) -> None:
        """The connection is over; ``AmqpProtocol.why`` tells why."""


class _Delegate(TwistedDelegate):
    """Answers what a broker says of its own accord."""

    client: AmqpProtocol

    def connection_start(self, ch: Any, msg: Any) -> None:
        if "PLAIN" not in str(msg.mechanisms).split():
            self.client.fail("the broker does not offer SASL PLAIN", refused=True)
            return
        login = self.client.login
        # Bytes, because txamqp counts characters where AMQP counts octets.
        response = b"\0" + login.user.encode() + b"\0" + login.password.encode()
        ch.connection_start_ok(CLIENT_PROPERTIES, "PLAIN", response, "en_US")

    def connection_tune(self, ch: Any, msg: Any) -> None:
        heartbeat = self.client.tuned(msg.frame_max, msg.heartbeat)
        channels = min(CHANNELS_MAX, msg.channel_max or CHANNELS_MAX)
        ch.connection_tune_ok(channels, self.client.frame_max, heartbeat)
        self.client.started.fire()

    def connection_close(self, ch: Any, msg: Any) -> None:
        self.client.told(msg)
        super().connection_close(ch, msg)

    def channel_close(self, ch: Any, msg: Any) -> None:
        self.client.told(msg)
        super().channel_close(ch, msg)

    def basic_cancel(self, ch: Any, msg: Any) -> None:
        """RabbitMQ ends a consumer whose queue is deleted, or moves."""
        self.client.fail(f"the broker ended the consumer of {msg.consumer_tag}")


class AmqpProtocol(AMQClient):
    """One connection; ``why`` and ``refused`` tell how it ended."""

    log = Logger()
    noisy = False

    def __init__(self, login: Login, heartbeat_seconds: int, clock: IReactorTime) -> None:
        super().__init__(_Delegate(), login.vhost.encode(), SPEC, heartbeat=0, clock=clock)
        self.login = login
        self.listener: Listener | None = None
        self.frame_max = FRAME_MAX_BYTES
        self.why = ""
        self.refused = False
        self.over = False
        self._heartbeat_seconds = heartbeat_seconds
        self._beats: LoopingCall | None = None
        self._wrote = self._heard = False
        self._silent_looks = 0
        self._rest = b""
        self._content: Content | None = None
        self._properties = b""
        self._missing = 0
        self._pieces: list[bytes] | None = []

    def connectionMade(self) -> None:
        self.transport.write(frames.PREAMBLE)

    def write(self, data: bytes) -> None:
        """Send whole frames."""
        self._wrote = True
        self.transport.write(data)

    def send_frame(self, frame: Any) -> None:
        """Send a frame of txamqp's."""
        self.write(self._pack_frame(frame))

    def tuned(self, frame_max: int, heartbeat_seconds: int) -> int:
        """Agree on limits with the broker; the seconds between heartbeats."""
        self.frame_max = min(FRAME_MAX_BYTES, frame_max or FRAME_MAX_BYTES)
        offered = (heartbeat_seconds, self._heartbeat_seconds)
        agreed = min((each for each in offered if each), default=0)
        if agreed:
            self._beats = LoopingCall(self._beat)
            self._beats.clock = self.clock
            beating = self._beats.start(agreed / 2, now=False)
            beating.addErrback(lambda failure: self.log.failure("heartbeats failed", failure))
        return agreed

    def _beat(self) -> None:
        if not self._wrote:
            self.write(frames.HEARTBEAT)
        self._wrote = False
        self._silent_looks = 0 if self._heard else self._silent_looks + 1
        self._heard = False
        if self._silent_looks >= SILENT_LOOKS_MAX:
            self.fail("the broker is silent")

    def told(self, closing: Any) -> None:
        """The broker closes the channel or the connection, and says why."""
        self.why = self.why or f"{closing.reply_code} {closing.reply_text}"
        self.refused = closing.reply_code in REFUSALS

    def fail(self, why: str, *, refused: bool = False) -> None:
        """End the connection at once."""
        self.why = self.why or why
        self.refused = self.refused or refused
        if not self.over:
            self.transport.abortConnection()

    def channel_failed(self, channel: Any, reason: Failure) -> None:
        """A connection has one channel: without it there is nothing to keep."""
        self.fail("the channel was closed")

    def connectionLost(self, reason: Failure) -> None:
        self.over = True
        self.why = self.why or reason.getErrorMessage()
        if self._beats is not None and self._beats.running:
            self._beats.stop()
        super().connectionLost(reason)
        if self.listener is not None:
            self.listener.lost()

    def dataReceived(self, data: bytes) -> None:
        self._heard = True
        if self._rest:
            data = self._rest + data
        read = 0
        try:
            for kind, channel, begin, end in frames.split(data, self.frame_max):
                self._frame(kind, channel, data, begin, end)
                read = end + 1
        except (BrokenFrame, EOF, GarbageException, KeyError, ValueError, TypeError) as error:
            self.log.warn("a broker sends what is no AMQP: {error}", error=repr(error))
            self.fail("what the broker sends is no AMQP 0-9-1")
            return
        self._rest = data[read:]

    def _frame(self, kind: int, channel: int, data: bytes, begin: int, end: int) -> None:
        if channel not in (0, frames.CHANNEL):
            raise BrokenFrame(f"channel {channel}")
        if kind == FRAME_BODY:
            self._body(data[begin:end])
        elif kind == FRAME_HEADER:
            self._header(data[begin:end])
        elif kind == FRAME_METHOD:
            group, method = data[begin : begin + 2], data[begin + 2 : begin + 4]
            number = int.from_bytes(method, "big")
            if int.from_bytes(group, "big") == BASIC and number in frames.FAST:
                self._fast(number, data[begin:end])
            else:
                whole = data[begin - frames.FRAME_OVERHEAD + 1 : end + 1]
                self.frame_received(self._unpack_frame(whole))

    def frame_received(self, frame: Any) -> None:
        """Leave a frame to txamqp."""
        self.process_frame(frame).addErrback(self._confused)

    def _confused(self, failure: Failure) -> None:
        self.log.failure("a broker's method could not be read", failure)
        self.fail("what the broker sends is no AMQP 0-9-1")

    def _fast(self, method: int, payload: bytes) -> None:
        if self.listener is None:
            raise BrokenFrame("a delivery before the channel is open")
        if method in frames.WITH_CONTENT:
            self._content = frames.read_content(method, payload)
        elif method == frames.GET_EMPTY:
            self.listener.nothing()
        else:
            tag, multiple = frames.read_settlement(payload)
            self.listener.settled(tag, multiple, method == frames.ACK)

    def _header(self, payload: bytes) -> None:
        self._missing, self._properties = frames.read_header(payload)
        self._pieces = [] if self._missing <= BODY_MAX_BYTES else None
        if self._missing == 0:
            self._complete()

    def _body(self, piece: bytes) -> None:
        if not piece or len(piece) > self._missing:
            raise BrokenFrame("a body of another length than was told")
        self._missing -= len(piece)
        if self._pieces is not None:
            self._pieces.append(piece)
        if self._missing == 0:
            self._complete()

    def _complete(self) -> None:
        content, self._content = self._content, None
        if content is None or self.listener is None:
            raise BrokenFrame("content without a method")
        body = None if self._pieces is None else b"".join(self._pieces)
        self._pieces = []
        self.listener.content(content, self._properties, body)
