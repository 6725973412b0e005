"""The conformance suite on a real Ganeti cluster, fake hypervisor and QEMU guests."""

from tests.acceptance.suite import Suite

SUITE = Suite(main="test_journey", clusters=1, kvm=True)
