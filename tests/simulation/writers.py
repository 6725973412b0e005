"""Who commits late: renames a network, and commits seconds after the statement (INV11).

The controllers' transactions are atomic here; these stay open while the world goes on. Nobody else
writes their networks, so nobody waits for them.
"""

from __future__ import annotations

from tests.simulation.scenario import User
from tests.simulation.world import World

COUNT = 2
OPEN_MAX_SECONDS = 4.5
"""A write transaction lives for five seconds at most."""
BETWEEN_MAX_SECONDS = 6.0
ROLLBACK_CHANCE = 0.2
RENAME = "UPDATE networks SET name = %(name)s, updated = synnefo_now() WHERE id = %(id)s"


class LateWriter:
    """One of them, with a network of its own."""

    def __init__(self, world: World, number: int) -> None:
        self.commits = 0
        self._world = world
        self._chance = world.chance_of(f"late writer {number}")
        self._ended = False
        self._is_open = False
        made = world.result(User(world, 0).create_network())
        self._id = made.json["network"]["id"]
        self._connection = world.postgres.beside("networks")
        self._later(BETWEEN_MAX_SECONDS, self._write)

    def _later(self, most_seconds: float, what) -> None:
        self._world.clock.callLater(self._chance.uniform(0, most_seconds), what)

    def _write(self) -> None:
        if self._ended:
            return
        self._is_open = True
        now = self._world.clock.seconds()
        self._world.note(f"{self._id} is renamed")
        with self._connection.cursor() as cursor:
            cursor.execute("SET LOCAL simulation.now = %(now)s", {"now": f"{now:.6f}"})
            cursor.execute(RENAME, {"name": f"named at {now:.3f}", "id": self._id})
        self._later(OPEN_MAX_SECONDS, self._end)

    def _end(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        if self._chance.random() < ROLLBACK_CHANCE:
            self._world.note(f"{self._id} has its old name")
            self._connection.rollback()
        else:
            self._world.note(f"{self._id} has another name")
            self._connection.commit()
            self.commits += 1
        self._later(BETWEEN_MAX_SECONDS, self._write)

    def end(self) -> None:
        """Commit what is open, and write no more."""
        self._end()
        self._ended = True

    def close(self) -> None:
        """Leave nothing open."""
        self._ended, self._is_open = True, False
        self._connection.close()
