"""Conversions between MiB, GiB and bytes: the only ones in the project."""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


def mib_to_bytes(mib: int) -> int:
    """``mib`` MiB in bytes."""
    return mib * MIB


def gib_to_bytes(gib: int) -> int:
    """``gib`` GiB in bytes."""
    return gib * GIB


def gib_to_mib(gib: int) -> int:
    """``gib`` GiB in MiB."""
    return gib * 1024
