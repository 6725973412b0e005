"""Counts what an address asked for in vain: who guesses secrets is held off, by every process."""

from __future__ import annotations

from synnefo_tx.db.pool import Database
from synnefo_tx.faults import TooManyRequests
from synnefo_tx.rest.address import counted_as

SELECT = """
SELECT extract(epoch FROM began + make_interval(secs => %(window)s) - synnefo_now())::float8
FROM request_misses WHERE address = %(address)s AND misses >= %(max)s
 AND began > synnefo_now() - make_interval(secs => %(window)s)
"""
ADD = """
INSERT INTO request_misses AS m (address, began, misses) VALUES (%(address)s, synnefo_now(), 1)
ON CONFLICT (address) DO UPDATE SET
 misses = CASE WHEN m.began > synnefo_now() - make_interval(secs => %(window)s)
  THEN m.misses + 1 ELSE 1 END,
 began = CASE WHEN m.began > synnefo_now() - make_interval(secs => %(window)s)
  THEN m.began ELSE excluded.began END
"""
SWEEP = """
DELETE FROM request_misses WHERE began <= synnefo_now() - make_interval(secs => %(window)s)
"""


class Misses:
    """At most ``misses_max`` in ``window_seconds`` per address (of IPv6: per /64)."""

    def __init__(self, database: Database, misses_max: int, window_seconds: float) -> None:
        self._database = database
        self._limits = {"max": misses_max, "window": window_seconds}

    async def check(self, address: str) -> None:
        """Raise TooManyRequests while the address has missed too often."""
        rows = await self._database.read(SELECT, self._limits | {"address": counted_as(address)})
        if rows:
            wait = f"{max(0.0, rows[0][0]) + 1:.0f}"
            raise TooManyRequests("Too many failures", headers={"Retry-After": wait})

    async def add(self, address: str) -> None:
        """The address asked for what is not there."""
        async with self._database.transaction("request-miss") as tx:
            await tx.run(ADD, self._limits | {"address": counted_as(address)})

    async def sweep(self) -> None:
        """Forget what is past its time."""
        async with self._database.transaction("request-misses-sweep") as tx:
            await tx.run(SWEEP, self._limits)
