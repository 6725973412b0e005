"""The conformance suite on a real Ganeti cluster, fake hypervisor and QEMU guests."""
