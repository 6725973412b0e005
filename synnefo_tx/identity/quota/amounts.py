"""Amounts as operators read and write them: sizes with units, ``inf`` (identity reference §2.2)."""

from __future__ import annotations

import re

from synnefo_tx.faults import BadRequest
from synnefo_tx.identity.quota.model import INFINITE

STYLES = ("mb", "b", "kb", "gb", "tb", "pb", "auto", "none")
_LETTERS = "KMGTP"
_AMOUNT = re.compile(r"\s*(\d{1,20}(?:\.\d{1,9})?)\s*(?:([kmgtp])(?:i?b)?|b|bytes)?\s*\Z", re.I)


def parse(text: str) -> int:
    """A limit: a number, with a unit of base 1024 if need be, or ``inf``. Raises BadRequest."""
    if text in ("inf", "infinite"):
        return INFINITE
    match = _AMOUNT.match(text)
    if match is None:
        raise BadRequest(f"{text!r} is no amount: write 4, 512M, 40GiB or inf")
    letter = (match.group(2) or "").upper()
    factor = 1024 ** (_LETTERS.index(letter) + 1) if letter else 1
    whole, _, fraction = match.group(1).partition(".")
    value = int(whole) * factor + int(fraction or 0) * factor // 10 ** len(fraction)
    if value > INFINITE:
        raise BadRequest(f"{text!r} is too large")
    return value


def show(amount: int, unit: str | None, style: str) -> str:
    """An amount of a resource in one of STYLES; what is shown can be parsed again."""
    if amount == INFINITE:
        return "inf"
    if unit != "bytes" or style == "none":
        return str(amount)
    if style == "auto":
        fitting = [letter for rank, letter in enumerate(_LETTERS, 1) if abs(amount) >= 1024**rank]
        style = f"{fitting[-1]}b" if fitting else "b"
    if style == "b":
        return f"{amount} bytes"
    letter = style[0].upper()
    size = 1024 ** (_LETTERS.index(letter) + 1)
    number = str(amount // size) if amount % size == 0 else f"{amount / size:.2f}"
    return f"{number} {letter}iB"
