"""The conformance suite on a real Ganeti cluster, fake hypervisor and QEMU guests; the event
source on the same cluster, with a real broker."""

from tests.acceptance.suite import Suite

SUITE = Suite(main="test_journey", clusters=1, kvm=True, broker=True)
