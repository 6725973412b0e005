"""Many kills of twistd synnefo under load, on the cluster in memory; with news by a broker too."""

from tests.acceptance.suite import Suite

SUITE = Suite(main="test_kills", broker=True)
