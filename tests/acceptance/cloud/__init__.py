"""The whole cloud on real Ganeti: ``twistd synnefo``, two clusters, real guests."""

from tests.acceptance.suite import Suite

SUITE = Suite(main="test_journey", clusters=2, kvm=True)
