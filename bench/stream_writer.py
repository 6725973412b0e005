"""Who writes what the streams tell of: servers of a hundred users, or images that all see."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import psycopg2

from bench.cloud import BenchCloud
from bench.scale import SERVERS_SQL, USERS_SQL
from synnefo_tx.changes.sequencer import TELL_SECONDS
from synnefo_tx.changes.store import TELL_WRITTEN
from synnefo_tx.db.embedded import Server

USERS, SERVERS, IMAGES = 100, 4_000, 1_500
BURST_TRANSACTION = 100
CHANGE = "UPDATE servers SET name = %(name)s, updated = synnefo_now() WHERE id = %(id)s"
CHANGE_MANY = "UPDATE servers SET name = %(name)s, updated = synnefo_now() WHERE id = ANY (%(ids)s)"
CHANGE_IMAGE = "UPDATE images SET name = %(name)s, updated = synnefo_now() WHERE id = %(id)s"
IMAGES_SQL = """
INSERT INTO images (id, name, owner, location, created, updated)
SELECT gen_random_uuid(), 'image ' || n, 'system', 'x', synnefo_now(), synnefo_now()
FROM generate_series(1, %(count)s) AS n RETURNING id::text
"""


class Writer:
    """A connection of the bench's own, that tells of its commits as a process of the service does.

    A changed thing is named after the moment of its change: ``t<nanoseconds>``.
    """

    def __init__(self, bench: BenchCloud) -> None:
        values = {
            "users": USERS, "first": 1, "last": SERVERS, "backend": bench.backend,
            "flavor": bench.flavor, "image": "x", "network": bench.private,
        }  # fmt: skip
        self.connection = psycopg2.connect(Server(bench.cloud.home / "postgresql").url)
        with self.connection, self.connection.cursor() as cursor:
            cursor.execute(USERS_SQL, values)
            cursor.execute(SERVERS_SQL, values)
            cursor.execute("SELECT id FROM servers WHERE name LIKE 'server %' ORDER BY id")
            self._servers = [row[0] for row in cursor.fetchall()]
            cursor.execute(IMAGES_SQL, {"count": IMAGES})
            self._images = [row[0] for row in cursor.fetchall()]
        self.connection.autocommit = True
        with self.connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = off")

    def steady(self, count: int, rate: int, to_all: bool) -> float:
        """Commit changes one by one, ``rate`` a second if that can be; the seconds it took."""
        ids: Sequence[Any] = self._images if to_all else self._servers
        change = CHANGE_IMAGE if to_all else CHANGE
        told = begun = time.monotonic()
        with self.connection.cursor() as cursor:
            for number in range(count):
                moment = begun + number / rate
                time.sleep(max(0.0, moment - time.monotonic()))
                id = ids[number % len(ids)]
                cursor.execute(change, {"name": f"t{moment * 1e9:.0f}", "id": id})
                if time.monotonic() - told >= TELL_SECONDS:
                    cursor.execute(TELL_WRITTEN)
                    told = time.monotonic()
            cursor.execute(TELL_WRITTEN)
        return time.monotonic() - begun

    def burst(self, count: int) -> float:
        """Commit changes as fast as that goes, a hundred at a time; the seconds it took."""
        begun = time.monotonic()
        with self.connection.cursor() as cursor:
            for first in range(0, count, BURST_TRANSACTION):
                ids = self._servers[first : first + BURST_TRANSACTION]
                cursor.execute(CHANGE_MANY, {"name": f"t{begun * 1e9:.0f}", "ids": ids})
                cursor.execute(TELL_WRITTEN)
        return time.monotonic() - begun
