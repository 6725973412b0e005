"""Pools and their items."""

from __future__ import annotations

from attrs import frozen


@frozen
class Pool:
    """A run of ``size`` values from ``base``."""

    id: int
    kind: str
    subnet: int | None
    base: str
    size: int


@frozen
class Item:
    """A taken item of a pool."""

    pool: int
    index: int


@frozen
class PoolMap:
    """A pool and the indexes of its items that are held or reserved; ``reserved`` are those that
    nobody gets."""

    pool: Pool
    taken: frozenset[int]
    reserved: frozenset[int]


@frozen
class PoolUse:
    """A pool and how many of its items are held or reserved."""

    pool: Pool
    taken: int
