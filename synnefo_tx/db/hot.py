"""Statements that run so often that each connection prepares them once.

Planning a page of servers costs PostgreSQL more than running it. A statement is hot by being marked
as such, not by being seen often: one whose parameters have no certain type cannot be prepared, and
one whose best plan depends on its parameters should not be. Where a connection does not prepare
(the simulator's does not), a hot statement is a plain one.
"""

from __future__ import annotations

import hashlib
import re

PLACEHOLDER = re.compile(r"%(?:\((\w+)\)s(::\w+(?:\[\])?)?|(%))")


class Hot(str):
    """A statement to prepare: ``name``, ``prepare`` and ``call`` are what a connection sends."""

    name: str
    prepare: str
    call: str

    def __new__(cls, sql: str) -> Hot:
        self = super().__new__(cls, sql)
        numbers: dict[str, int] = {}
        casts: dict[str, str] = {}

        def number(match: re.Match[str]) -> str:
            name, cast, percent = match.groups(default="")
            if percent:
                return "%"
            # An array that is written out has a type of its own, and is given with the wanted one.
            casts[name] = cast or casts.get(name, "")
            return f"${numbers.setdefault(name, len(numbers) + 1)}{cast}"

        body = PLACEHOLDER.sub(number, sql)
        self.name = "hot_" + hashlib.sha256(sql.encode()).hexdigest()[:16]
        # PREPARE goes without parameters, so nothing in it is a placeholder of the driver's.
        self.prepare = f"PREPARE {self.name} AS {body}"
        given = ", ".join(f"%({each})s{casts[each]}" for each in numbers)
        self.call = f"EXECUTE {self.name}" + (f" ({given})" if given else "")
        return self
