"""One console, from its ticket to its end.

Stages: the ticket is used up, the screen is opened, the browser authenticates, bytes flow. What
ends it at any stage is a Refusal, given to the browser as the websocket's close.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure

from synnefo_tx.console.flow import Valve
from synnefo_tx.console.model import (
    ConsoleLimits,
    ConsoleTargets,
    Refusal,
    Target,
    forbidden,
    unreachable,
)
from synnefo_tx.console.rfb import CHALLENGE_BYTES, Handshake, RfbError, serve_vnc_authentication
from synnefo_tx.console.screen import Screen, ScreenUnreachable, connect_screen
from synnefo_tx.console.sessions import VERIFY_LIMIT_SECONDS, Sessions

T = TypeVar("T")

UNREACHABLE = unreachable("the screen cannot be reached")
SLOW = unreachable("the screen took too long to open")
SCREEN_LOST = unreachable("the screen closed the connection")
FAILED = unreachable("the console failed; it is logged")
NOT_AUTHENTICATED = forbidden("no VNC authentication in time")
TOO_EARLY = forbidden("bytes before the VNC handshake")


@frozen
class Surroundings:
    """What all consoles of a process share.

    ``reactor`` gives time and TCP connections, ``random_bytes(n)`` n unguessable bytes.
    """

    reactor: Any
    targets: ConsoleTargets
    sessions: Sessions
    limits: ConsoleLimits
    random_bytes: Callable[[int], bytes]


class Browser(Protocol):
    """The websocket as the session sees it."""

    @property
    def remote(self) -> str:
        """The client's address."""

    @property
    def outgoing(self) -> Valve:
        """The producer that is registered with the websocket's transport."""

    @property
    def incoming(self) -> IPushProducer:
        """What pauses reading from the client."""

    def send(self, data: bytes) -> None:
        """Send a binary message."""

    def close(self, refusal: Refusal) -> None:
        """Say why and close."""


class ConsoleSession:
    """Joins one browser to one screen; created when the websocket is open."""

    log = Logger()

    def __init__(self, surroundings: Surroundings, browser: Browser) -> None:
        self._surroundings = surroundings
        self._limits = surroundings.limits
        self._browser = browser
        self._target: Target | None = None
        self._waiting: Deferred[Any] | None = None
        self._screen: Screen | None = None
        self._to_screen = Valve()
        self._authentication: Handshake | None = None
        self._authenticated: Deferred[None] = Deferred()
        self._early = b""
        self._is_joined = False
        self._has_ended = False

    @property
    def target(self) -> Target:
        assert self._target is not None, "asked before the ticket was used"
        return self._target

    def start(self, ticket: str) -> None:
        """Use up the ticket and go through the stages; ends the session when one fails."""
        opening = Deferred.fromCoroutine(self._open(ticket))
        opening.addCallbacks(self._opened, self._failed)

    def data_received(self, data: bytes) -> None:
        """Bytes of the browser, at any stage."""
        if self._has_ended:
            return
        if self._is_joined:
            if self._screen is not None:
                self._screen.transport.write(data)
        elif self._authentication is None:
            self._early += data
            if len(self._early) > self._limits.early_bytes:
                self.end(TOO_EARLY)
        else:
            self._authenticate(self._authentication, data)

    def browser_gone(self) -> None:
        """The websocket is closed."""
        self._release()

    def end(self, refusal: Refusal) -> None:
        """Cut the screen and close the browser with this code and reason."""
        if self._has_ended:
            return
        self._release()
        self.log.info(
            "console closed: {code} {reason} ({remote})",
            code=refusal.code,
            reason=refusal.reason,
            remote=self._browser.remote,
            session_key=self._target.session_key if self._target else None,
        )
        self._browser.close(refusal)

    def _release(self) -> None:
        self._has_ended = True
        if self._target is not None:
            self._surroundings.sessions.remove(self)
            closing = Deferred.fromCoroutine(self._surroundings.targets.closed(self._target))
            closing.addErrback(self._not_told)
        if self._waiting is not None:
            self._waiting.cancel()
        self._drop_screen()

    def _not_told(self, failure: Failure) -> None:
        self.log.warn("a console's end could not be told: {error}", error=str(failure.value))

    def _drop_screen(self) -> None:
        screen, self._screen = self._screen, None
        self._browser.outgoing.detach()
        self._to_screen.detach()
        if screen is not None:
            screen.abort()

    async def _open(self, ticket: str) -> Refusal | None:
        outcome = await self._wait(
            self._surroundings.targets.open(ticket, self._browser.remote, self.end),
            self._limits.open_seconds,
        )
        if isinstance(outcome, Refusal) or self._has_ended:
            return outcome if isinstance(outcome, Refusal) else None
        self._target = outcome
        refusal = self._surroundings.sessions.add(self)
        if refusal is not None:
            return refusal
        limits = self._limits
        screen = await self._wait(
            connect_screen(self._surroundings.reactor, outcome, limits),
            limits.connect_seconds + limits.greeting_seconds,
        )
        return await self._admit(outcome, screen)

    async def _admit(self, target: Target, screen: Screen) -> Refusal | None:
        if self._has_ended:
            screen.abort()
            return None
        self._screen = screen
        challenge = self._surroundings.random_bytes(CHALLENGE_BYTES)
        self._authentication = Handshake(serve_vnc_authentication(target.password, challenge))
        self._browser.send(self._authentication.begin())
        early, self._early = self._early, b""
        self._authenticate(self._authentication, early)
        try:
            await self._wait(_outcome(self._authenticated), self._limits.authentication_seconds)
        except TimeoutError:
            return NOT_AUTHENTICATED
        self._join(self._authentication)
        return None

    async def _wait(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        running = Deferred.fromCoroutine(work)
        self._waiting = running.addTimeout(seconds, self._surroundings.reactor)
        try:
            return await running
        finally:
            self._waiting = None

    def _authenticate(self, handshake: Handshake, data: bytes) -> None:
        try:
            self._browser.send(handshake.receive(data))
        except RfbError as error:
            self._browser.send(error.farewell)
            self.end(forbidden(str(error)))
            return
        if handshake.finished and not self._authenticated.called:
            self._authenticated.callback(None)

    def _join(self, handshake: Handshake) -> None:
        screen = self._screen
        if self._has_ended or screen is None:
            return
        self._is_joined = True
        self._browser.outgoing.attach(screen.transport)
        self._to_screen.attach(self._browser.incoming)
        screen.transport.registerProducer(self._to_screen, True)
        screen.transport.write(handshake.rest)
        screen.relay(self._browser.send, self._screen_lost)

    def _screen_lost(self) -> None:
        self._drop_screen()
        explaining = Deferred.fromCoroutine(self._explain_loss())
        explaining.addCallbacks(self.end, self._failed)

    async def _explain_loss(self) -> Refusal:
        """The owner of servers knows best why: stopped, deleted or moved."""
        asking = self._surroundings.targets.explain_loss(self.target)
        return await self._wait(asking, VERIFY_LIMIT_SECONDS) or SCREEN_LOST

    def _opened(self, refusal: Refusal | None) -> None:
        if refusal is not None:
            self.end(refusal)
        elif not self._has_ended:
            self.log.info(
                "console of server {server_id} opened by {user_uuid} from {remote}",
                server_id=self.target.server_id,
                user_uuid=self.target.user_uuid,
                remote=self._browser.remote,
                session_key=self.target.session_key,
            )

    def _failed(self, failure: Failure) -> None:
        if self._has_ended:
            return  # what was cancelled by the end is no failure
        if failure.check(ScreenUnreachable):
            self.log.warn("screen unreachable: {error}", error=failure.getErrorMessage())
            self.end(UNREACHABLE)
        elif failure.check(TimeoutError):
            self.end(SLOW)
        else:
            self.log.failure("a console failed", failure)
            self.end(FAILED)


async def _outcome(deferred: Deferred[T]) -> T:
    return await deferred
