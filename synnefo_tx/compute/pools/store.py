"""SQL of pools: exact allocation without a lock over the pool.

Items are rows, made in blocks the first time a pool is short. Taking one locks that row alone and
passes over rows that others are taking. Only when nothing else is left does a caller wait for one
of those, because its taker may yet fail: so nobody is refused while something is free.
"""

from __future__ import annotations

from collections.abc import Sequence

from synnefo_tx.compute.pools.model import Item, Pool, PoolMap, PoolUse
from synnefo_tx.db.pool import Database, Hot, Transaction

OF_SUBNETS = Hot("""
SELECT id, kind, subnet, base, size FROM pools WHERE subnet = ANY (%(subnets)s) ORDER BY id
""")
OF_KIND = "SELECT id, kind, subnet, base, size FROM pools WHERE kind = %(kind)s ORDER BY id"
INSERT = """
INSERT INTO pools (kind, subnet, base, size)
VALUES (%(kind)s, %(subnet)s, %(base)s, %(size)s) RETURNING id
"""
_HOLD = "state = 'held', holder = %(holder)s, last_owner = %(owner)s, freed = NULL"
# A row that was another's by the time it was locked stays locked though it is not returned. Who
# then waits for items must let go of such locks first, or two would hold them crosswise.
MARK = "SAVEPOINT take;"
LET_GO = "ROLLBACK TO SAVEPOINT take"
TAKE_FREE = f"""{MARK}
UPDATE pool_items SET {_HOLD} WHERE (pool, index) = (
    SELECT pool, index FROM pool_items WHERE pool = ANY (%(pools)s) AND state = 'free'
    ORDER BY pool, index LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING pool, index
"""
# Rested long enough; or, when the pool is short, whatever has rested longest.
TAKE_RESTED = f"""
UPDATE pool_items SET {_HOLD} WHERE (pool, index) = (
    SELECT pool, index FROM pool_items WHERE pool = ANY (%(pools)s) AND state = 'resting'
     AND freed <= synnefo_now() - make_interval(secs => %(rest_seconds)s)
    ORDER BY freed, pool, index LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING pool, index
"""
WAIT_FREE = f"""{MARK}
UPDATE pool_items SET {_HOLD} WHERE (pool, index) = (
    SELECT pool, index FROM pool_items WHERE pool = ANY (%(pools)s) AND state IN ('free', 'resting')
    ORDER BY pool, index LIMIT 1 FOR UPDATE)
RETURNING pool, index
"""
LEFT = """
SELECT count(*) FROM pool_items WHERE pool = ANY (%(pools)s) AND state IN ('free', 'resting')
"""
LOCK_UNMADE = """
SELECT id, next_index, size FROM pools WHERE id = ANY (%(pools)s) AND next_index < size
ORDER BY id LIMIT 1 FOR UPDATE
"""
MAKE_BLOCK = """
WITH block AS (
    UPDATE pools SET next_index = least(size, next_index + %(block)s) WHERE id = %(pool)s
    RETURNING id, next_index
)
INSERT INTO pool_items (pool, index, state)
SELECT block.id, made.index, 'free'
FROM block, generate_series(%(first)s, block.next_index - 1) AS made (index)
ON CONFLICT (pool, index) DO NOTHING
"""
# A wanted item: free, not made yet, rested, or resting and wanted by its last owner.
TAKE_WANTED = f"""
INSERT INTO pool_items AS item (pool, index, state, holder, last_owner)
VALUES (%(pool)s, %(index)s, 'held', %(holder)s, %(owner)s)
ON CONFLICT (pool, index) DO UPDATE SET {_HOLD}
WHERE item.state = 'free' OR (item.state = 'resting' AND (item.last_owner = %(owner)s
 OR item.freed <= synnefo_now() - make_interval(secs => %(rest_seconds)s)))
RETURNING pool, index
"""
# In the order in which those who wait lock items.
RELEASE = Hot("""
UPDATE pool_items SET state = %(state)s, holder = '', freed = synnefo_now()
WHERE (pool, index) IN (
    SELECT pool, index FROM pool_items WHERE state = 'held' AND holder = ANY (%(holders)s)
    ORDER BY pool, index FOR UPDATE)
""")
# An item that rests counts as available: it is given when the pool is short.
USES = """
SELECT p.id, p.kind, p.subnet, p.base, p.size,
 count(i.index) FILTER (WHERE i.state IN ('held', 'reserved'))
FROM pools p LEFT JOIN pool_items i ON i.pool = p.id
WHERE p.kind = ANY (%(kinds)s) GROUP BY p.id ORDER BY p.id
"""
MAPS = """
SELECT p.id, p.kind, p.subnet, p.base, p.size,
 coalesce(array_agg(i.index) FILTER (WHERE i.state IN ('held', 'reserved')), '{}'),
 coalesce(array_agg(i.index) FILTER (WHERE i.state = 'reserved'), '{}')
FROM pools p LEFT JOIN pool_items i ON i.pool = p.id
WHERE p.subnet = %(subnet)s GROUP BY p.id ORDER BY p.id
"""
# Nobody else adds a pool until the transaction ends: there is one per kind.
LOCK_ALL = "LOCK TABLE pools IN SHARE ROW EXCLUSIVE MODE"
RESERVE = "INSERT INTO pool_items (pool, index, state) VALUES (%(pool)s, %(index)s, 'reserved')"

WAITS_MAX = 64


async def pool_uses(database: Database, kinds: Sequence[str]) -> list[PoolUse]:
    """All pools of some kinds."""
    rows = await database.read(USES, {"kinds": list(kinds)})
    return [PoolUse(Pool(*pool), taken) for *pool, taken in rows]


async def pool_maps(database: Database, subnet: int) -> list[PoolMap]:
    """The pools of a subnet with what is taken of them."""
    rows = await database.read(MAPS, {"subnet": subnet})
    return [
        PoolMap(Pool(*pool), frozenset(taken), frozenset(reserved))
        for *pool, taken, reserved in rows
    ]


class PoolStore:
    """Pools inside a transaction. ``rest_seconds`` is how long a freed item rests."""

    def __init__(self, tx: Transaction, rest_seconds: float, block: int) -> None:
        self._tx = tx
        self._rest_seconds = rest_seconds
        self._block = block

    async def of_subnets(self, subnets: Sequence[int]) -> list[Pool]:
        """Address pools of the given subnets."""
        rows = await self._tx.rows(OF_SUBNETS, {"subnets": list(subnets)})
        return [Pool(*row) for row in rows]

    async def of_kind(self, kind: str) -> list[Pool]:
        """Pools of ``bridge`` or ``mac-prefix``."""
        return [Pool(*row) for row in await self._tx.rows(OF_KIND, {"kind": kind})]

    async def insert(self, kind: str, subnet: int | None, base: str, size: int) -> int:
        """Add a pool."""
        values = {"kind": kind, "subnet": subnet, "base": base, "size": size}
        return int(await self._tx.value(INSERT, values))

    async def take(self, pools: Sequence[int], holder: str, owner: str, wait: bool) -> Item | None:
        """Take any item of ``pools`` for ``holder``; None when they are exhausted.

        ``wait`` lets the caller wait for items in other transactions' hands: only for the first
        item of a transaction, else two could wait for each other.
        """
        values = {
            "pools": list(pools),
            "holder": holder,
            "owner": owner,
            "rest_seconds": self._rest_seconds,
        }
        for sql in (TAKE_FREE, TAKE_RESTED):
            if found := await self._tx.row(sql, values):
                return Item(*found)
        await self._tx.run(LET_GO)
        while await self._make_block(pools):
            if found := await self._tx.row(TAKE_FREE, values):
                return Item(*found)
        if found := await self._tx.row(TAKE_RESTED, {**values, "rest_seconds": 0}):
            return Item(*found)
        if wait:
            return await self._wait_for_one(values)
        return None

    async def _make_block(self, pools: Sequence[int]) -> bool:
        row = await self._tx.row(LOCK_UNMADE, {"pools": list(pools)})
        if row is None:
            return False
        pool, next_index, _ = row
        values = {"pool": pool, "first": next_index, "block": self._block}
        await self._tx.run(MAKE_BLOCK, values)
        return True

    async def _wait_for_one(self, values: dict[str, object]) -> Item | None:
        for _ in range(WAITS_MAX):
            await self._tx.run(LET_GO)
            if not await self._tx.value(LEFT, values):
                return None
            if found := await self._tx.row(WAIT_FREE, values):
                return Item(*found)
        return None

    async def take_index(self, pool: int, index: int, holder: str, owner: str) -> bool:
        """Take a certain item; False when it is held, reserved, or rests for another."""
        values = {
            "pool": pool,
            "index": index,
            "holder": holder,
            "owner": owner,
            "rest_seconds": self._rest_seconds,
        }
        return await self._tx.row(TAKE_WANTED, values) is not None

    async def release(self, holders: Sequence[str], rest: bool) -> None:
        """Give back what ``holders`` hold; with ``rest`` it rests before another gets it."""
        state = "resting" if rest else "free"
        await self._tx.run(RELEASE, {"holders": list(holders), "state": state})

    async def lock_all(self) -> None:
        """Keep others from adding pools until the transaction ends."""
        await self._tx.run(LOCK_ALL)

    async def reserve(self, pool: int, index: int) -> None:
        """Reserve an item of a new pool: nobody gets it."""
        await self._tx.run(RESERVE, {"pool": pool, "index": index})
