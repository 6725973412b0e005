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


def past(existing: Iterable[date], today: date, months_kept: int) -> list[date]:
    """The whole months that are older than what is kept; 0 keeps everything.

    So many of those that have begun stay, however old: a clock that jumps ahead by years must not
    take the journal with it. After a long time out of service they go as new months begin.
    """
    this = month_of(today)
    begun = sorted(month for month in existing if month <= this)
    surplus = begun[: max(0, len(begun) - months_kept - 1)]
    oldest_kept = later(this, -months_kept)
    return [month for month in surplus if month < oldest_kept] if months_kept else []


def wanted(today: date, existing: Collection[date], rest: Iterable[date]) -> list[date]:
    """The months that lack a partition: this one, those next to come, and those of which rows
    are in the ``rest``."""
    needed = {later(month_of(today), ahead) for ahead in range(AHEAD_MONTHS + 1)} | set(rest)
    return sorted(needed - set(existing))
