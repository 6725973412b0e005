"""Tests on the RabbitMQ node that the runner started."""

from __future__ import annotations

import itertools
import os
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest, TestCase

from synnefo_tx.ganeti.broker.address import parse_all
from synnefo_tx.ganeti.broker.client import AmqpBroker, read_trust
from synnefo_tx.ganeti.broker.topology import Topology, declare
from tests.acceptance import rabbitmq

reactor: Any = _reactor
_numbers = itertools.count(1)


class RabbitTestCase(TestCase):
    """A test with ``broker`` (over TLS) and a topology of its own."""

    timeout = 120

    def setUp(self):
        rabbit = rabbitmq.RealBroker.of_environment()
        if rabbit is None:
            raise SkipTest("no broker: python -m tests.acceptance.run broker")
        self.rabbit = rabbit
        self.clock = reactor
        self.broker = self.client(self.url("localhost"))
        name = f"test{os.getpid()}x{next(_numbers)}"
        self.topology = Topology(exchange=name, prefix=name)

    def url(self, host, *, tls=True, password=None):
        scheme, port = ("amqps", self.rabbit.tls_port) if tls else ("amqp", self.rabbit.plain_port)
        return f"{scheme}://{self.rabbit.user}:{password or self.rabbit.password}@{host}:{port}"

    def client(self, *urls):
        trust = read_trust(self.rabbit.ca_file, "", "")
        return AmqpBroker(reactor, parse_all(urls), trust, os.urandom)

    async def link(self):
        link = await self.broker.connect()
        self.addCleanup(link.close)
        await declare(link, self.topology)
        return link

    async def sleep(self, seconds):
        await deferLater(reactor, seconds)

    async def restart(self):
        await deferToThread(rabbitmq.stop)
        await deferToThread(rabbitmq.start)
