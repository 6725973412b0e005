"""Limits of the calls to a cluster, and what each way to fail means."""

import json

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse
from zope.interface import implementer

from synnefo_tx.ganeti.rapi import (
    ClusterEndpoint,
    Limits,
    Rapi,
    RapiError,
    RapiRefused,
    RapiUnanswered,
    TreqRapi,
)

ENDPOINT = ClusterEndpoint("c1", "cluster.example", 5080, "user", "secret")
LIMITS = Limits(waiting=2, wait_seconds=5, timeout_seconds=10, response_max_bytes=1000)


@implementer(IResponse)
class Answer:
    """A response whose body comes when the test says so."""

    version, phrase, length = (b"HTTP", 1, 1), b"", 0
    request = previousResponse = None

    def __init__(self, body, status=200, end=ResponseDone):
        self.code, self.body, self.end = status, body, end
        self.headers = Headers()

    def deliverBody(self, protocol):
        protocol.makeConnection(self)
        protocol.dataReceived(self.body)
        if self.end is not None:
            protocol.connectionLost(Failure(self.end("")))

    aborted = False

    def abortConnection(self):
        self.aborted = True

    def setPreviousResponse(self, response):
        raise AssertionError("nothing is redirected")


@implementer(IAgent)
class Wire:
    """Stands for the network: keeps each request until the test answers it."""

    def __init__(self):
        self.sent = []
        self.pending = []
        self.given_up = 0

    def request(self, method, uri, headers=None, bodyProducer=None):
        def give_up(_):
            self.given_up += 1

        self.sent.append((method, uri, headers))
        self.pending.append(Deferred(give_up))
        return self.pending[-1]


class TransportTests(SynchronousTestCase):
    """Calls through a wire under the test's control."""

    def setUp(self):
        self.clock, self.wire = Clock(), Wire()
        self.rapi = TreqRapi(self.wire, ENDPOINT, self.clock, LIMITS)

    def call(self, coroutine=None):
        return Deferred.fromCoroutine(coroutine or self.rapi.version())

    def answer(self, *args, **kwargs):
        response = Answer(*args, **kwargs)
        self.wire.pending.pop(0).callback(response)
        return response

    def breaks(self, times):
        """So many calls in a row end without answer."""
        for _ in range(times):
            call = self.call()
            self.wire.pending.pop(0).errback(ConnectionLost())
            self.failureResultOf(call, RapiUnanswered)

    def test_four_at_once(self):
        """A cluster serves few connections: the fifth call waits for one of the first four."""
        calls = [self.call() for _ in range(6)]
        self.assertEqual(len(self.wire.sent), 4)
        self.answer(b"2")
        self.assertEqual(self.successResultOf(calls[0]), 2)
        self.assertEqual(len(self.wire.sent), 5)
        for _ in range(5):
            self.answer(b"2")
        self.assertEqual([self.successResultOf(call) for call in calls[1:]], [2] * 5)

    def test_queue_is_bounded(self):
        """Beyond the queue a call is refused at once, and nothing of it is sent."""
        calls = [self.call() for _ in range(7)]
        self.failureResultOf(calls[6], RapiRefused)
        self.clock.advance(LIMITS.wait_seconds)
        for call in calls[4:6]:
            self.failureResultOf(call, RapiRefused)
        self.assertEqual(len(self.wire.sent), 4)
        for _ in range(4):
            self.answer(b"2")
        self.assertEqual(self.successResultOf(calls[0]), 2)

    def test_waiting_caller_leaves(self):
        """A caller that gives up while it waits leaves the queue."""
        calls = [self.call() for _ in range(6)]
        calls[4].cancel()
        self.failureResultOf(calls[4])
        for _ in range(5):
            self.answer(b"2")
        self.assertEqual(self.successResultOf(calls[5]), 2)
        self.assertEqual(len(self.wire.sent), 5)

    def test_no_answer_in_time(self):
        """A call without answer ends after its time, its connection is closed, its place free."""
        calls = [self.call() for _ in range(5)]
        self.clock.advance(4)
        self.wire.pending.pop(0).errback(ConnectionLost())
        self.failureResultOf(calls[0], RapiUnanswered)
        self.clock.advance(6)
        for call in calls[1:4]:
            self.failureResultOf(call, RapiUnanswered)
        self.assertEqual(self.wire.given_up, 3)

    def test_body_that_never_ends(self):
        """A body that stops in the middle ends with the call's time, and is closed."""
        call = self.call()
        response = self.answer(b"[1", end=None)
        self.clock.advance(10)
        self.failureResultOf(call, RapiUnanswered)
        self.assertTrue(response.aborted)

    def test_body_too_long(self):
        """An endless answer is not kept in memory."""
        call = self.call()
        response = self.answer(b"1" * 1001, end=None)
        self.failureResultOf(call, RapiUnanswered)
        self.assertTrue(response.aborted)

    def test_answers_that_say_nothing(self):
        """What RAPI never says leaves the outcome open: garbage, redirects, a cut, other types."""
        for response in (
            Answer(b"<html>"),
            Answer(b""),
            Answer(b"2", status=302),
            Answer(b"2", status=201),
            Answer(b"gateway", status=502),
            Answer(b'"no message"', status=400),
            Answer(b"2", end=PotentialDataLoss),
            Answer(b"true"),
            Answer(b"[" * 900),
        ):
            self.setUp()
            call = self.call()
            self.wire.pending.pop(0).callback(response)
            self.failureResultOf(call, RapiUnanswered)

    def test_refused_by_the_cluster(self):
        """An error of RAPI is told with its status and its text, unescaped."""
        call = self.call()
        self.answer(b'{"code": 400, "message": "no &#x27;x&#x27;", "explain": ""}', status=400)
        error = self.failureResultOf(call, RapiError).value
        self.assertEqual((error.status, error.message), (400, "no 'x'"))

    def test_master_lost_while_submitting(self):
        """RAPI's own 504 may come after the job was accepted: the outcome stays open."""
        body = json.dumps({"code": 504, "message": "Timeout while talking to the master"}).encode()
        submission = self.call(self.rapi.startup("snf-1", "synnefo:1"))
        self.answer(body, status=504)
        self.failureResultOf(submission, RapiUnanswered)
        reading = self.call(self.rapi.info())
        self.answer(body, status=504)
        self.failureResultOf(reading, RapiError)

    def test_connection_refused(self):
        """Nobody there: certainly nothing happened."""
        call = self.call()
        self.wire.pending.pop(0).errback(ConnectionRefusedError())
        self.failureResultOf(call, RapiRefused)

    def test_breaker(self):
        """After three calls without answer none is sent for a while; then one may try."""
        self.breaks(3)
        self.failureResultOf(self.call(), RapiRefused)
        self.assertEqual(len(self.wire.sent), 3)
        self.clock.advance(LIMITS.breaker_cooldown_seconds)
        probe = self.call()
        self.failureResultOf(self.call(), RapiRefused)
        self.answer(b"2")
        self.assertEqual(self.successResultOf(probe), 2)
        self.breaks(2)
        self.assertFalse(self.rapi.transport.breaker.open)

    def test_failed_probe(self):
        """A probe without answer keeps the breaker open for the same time again."""
        self.breaks(3)
        self.clock.advance(LIMITS.breaker_cooldown_seconds)
        self.breaks(1)
        self.failureResultOf(self.call(), RapiRefused)

    def test_abandoned_probe(self):
        """A probe that its caller gives up makes room for another."""
        self.breaks(3)
        self.clock.advance(LIMITS.breaker_cooldown_seconds)
        probe = self.call()
        probe.cancel()
        self.failureResultOf(probe)
        self.wire.pending.clear()
        again = self.call()
        self.answer(b"2")
        self.assertEqual(self.successResultOf(again), 2)

    def test_refusals_are_answers(self):
        """Errors that the cluster states never open the breaker."""
        for _ in range(5):
            call = self.call()
            self.answer(b'{"message": "Not Found"}', status=404)
            self.failureResultOf(call, RapiError)
        self.assertFalse(self.rapi.transport.breaker.open)

    def test_offline(self):
        """A cluster flagged offline is not called at all."""
        endpoint = ClusterEndpoint("c1", "h", 1, "u", "p", offline=True)
        rapi = TreqRapi(self.wire, endpoint, self.clock)
        self.failureResultOf(self.call(rapi.info()), RapiRefused)
        self.assertEqual(self.wire.sent, [])

    def test_names_and_reason_are_quoted(self):
        """Names and reasons cannot change the meaning of the address they are put in."""
        self.call(self.rapi.startup("a/../b?c", "synnefo:1&x=2"))
        self.assertEqual(
            self.wire.sent[0][1],
            b"https://cluster.example:5080/2/instances/a%2F..%2Fb%3Fc/startup"
            b"?reason=synnefo%3A1%26x%3D2",
        )

    def test_password_is_not_shown(self):
        """The endpoint can be logged: its password is not in its text."""
        self.assertNotIn("secret", repr(ENDPOINT))

    def test_is_a_rapi(self):
        """The client offers every call of the protocol that others are written against."""
        client: Rapi = self.rapi
        calls = {name for name in vars(Rapi) if not name.startswith("_")}
        self.assertEqual({name for name in calls if not callable(getattr(client, name))}, set())
        self.assertGreater(len(calls), 20)
