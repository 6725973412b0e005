"""The broker's suite on RabbitMQ, and what operators see when a broker fails."""

from tests.acceptance.suite import Suite

SUITE = Suite(main="test_rabbitmq", broker=True)
