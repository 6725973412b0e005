"""Many kills of twistd synnefo under load, on the cluster in memory."""

from tests.acceptance.suite import Suite

SUITE = Suite(main="test_kills")
