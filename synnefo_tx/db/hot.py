"""Statements that run so often that each connection prepares them once.

Planning a page of servers costs PostgreSQL more than running it. A statement is hot by being marked
as such, not by being seen often: one whose parameters have no certain type cannot be prepared, and
one whose best plan depends on its parameters should not be. Where a connection does not prepare
(the simulator's does not), a hot statement is a plain one.
"""

from __future__ import annotations

import hashlib
import re

PLACEHOLDER = re.compile(r"%(?:\((\w+)\)s|(%))")


class Hot(str):
    """A statement to prepare: ``name``, ``prepare`` and ``call`` are what a connection sends."""

    name: str
    prepare: str
    call: str

    def __new__(cls, sql: str) -> Hot:
        self = super().__new__(cls, sql)
        numbers: dict[str, int] = {}

        def number(match: re.Match[str]) -> str:
            if match[2]:
                return "%"
            return f"${numbers.setdefault(match[1], len(numbers) + 1)}"

        body = PLACEHOLDER.sub(number, sql)
        self.name = "hot_" + hashlib.sha256(sql.encode()).hexdigest()[:16]
        # PREPARE goes without parameters, so nothing in it is a placeholder of the driver's.
        self.prepare = f"PREPARE {self.name} AS {body}"
        given = ", ".join(f"%({each})s" for each in numbers)
        self.call = f"EXECUTE {self.name}" + (f" ({given})" if given else "")
        return self
