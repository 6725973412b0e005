"""The same life of servers on a real cluster, heard of by events, by polling, and by both."""

from tests.acceptance.suite import Suite

SUITE = Suite(main="test_news", clusters=1, kvm=True, broker=True)
