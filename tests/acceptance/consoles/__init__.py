"""Live consoles in several processes of ``twistd synnefo``, on the cluster in memory."""

from tests.acceptance.suite import Suite

SUITE = Suite(main="test_live_consoles")
