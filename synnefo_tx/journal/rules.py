"""Which partitions the journal has: pure decisions about months.

A month is its first day. Partitions are named ``journal_2026_11``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import date

NAME = re.compile(r"journal_(\d{4})_(\d{2})")
AHEAD_MONTHS = 2


def month_of(day: date) -> date:
    """The month in which a day is."""
    return date(day.year, day.month, 1)


def later(month: date, months: int) -> date:
    """The month that is so many months later, or earlier below 0."""
    years, index = divmod(month.year * 12 + month.month - 1 + months, 12)
    return date(years, index + 1, 1)


def name_of(month: date) -> str:
    """The partition of a month."""
    return f"journal_{month:%Y_%m}"


def parse(name: str) -> date | None:
    """The month of a partition, None for the one that takes the rest."""
    match = NAME.fullmatch(name)
    return date(int(match[1]), int(match[2]), 1) if match else None


def is_past(month: date, today: date, months_kept: int) -> bool:
    """Whether a whole month is older than what is kept; 0 keeps everything."""
    return months_kept > 0 and month < later(month_of(today), -months_kept)


def wanted(today: date, existing: Collection[date], rest: Iterable[date]) -> list[date]:
    """The months that lack a partition: this one, those next to come, and those of which rows
    are in the ``rest``."""
    needed = {later(month_of(today), ahead) for ahead in range(AHEAD_MONTHS + 1)} | set(rest)
    return sorted(needed - set(existing))
