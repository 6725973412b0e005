"""Conditions on the rows of a list: ``--filter-by "k>=v,k2!=v"`` (identity reference §5, I-156).

Keys are the fields of the list and the attributes as they are stored; those of a related thing have
its name before them (``flavor__cpu``). Conditions are joined by "and".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import NoneType
from typing import Any, get_args, get_type_hints

from attrs import fields, frozen

from synnefo_tx.cli.command import FALSE, TRUE
from synnefo_tx.faults import BadRequest

_CONDITION = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(!=|>=|=>|<=|=<|=|>|<)\s*(.*?)\s*\Z", re.S)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
}
_SPELLINGS = {"=>": ">=", "=<": "<="}
_KINDS = (bool, int, datetime, str)


@frozen
class Key:
    """What a condition may be about: how it is got from a row, and its type where that is known."""

    value: Callable[[Any], Any]
    kind: type[Any] | None = None


@frozen
class Condition:
    """A piece of ``--filter-by``."""

    key: str
    operator: str
    text: str

    def check(self, key: Key) -> None:
        """Raise BadRequest unless the text can be a value of the key."""
        if key.kind is not None and self.text:
            self._as(key.kind)

    def holds(self, value: Any) -> bool:
        """Whether a row's value meets the condition; nothing is greater or less than None."""
        if isinstance(value, list | tuple):
            return (self.text in map(str, value)) == (self.operator == "=")
        if value is None:
            return (self.operator == "!=") != (self.text == "")
        return _COMPARISONS[self.operator](value, self._as(type(value)))

    def _as(self, kind: type[Any]) -> Any:
        try:
            if issubclass(kind, bool):
                lowered = self.text.lower()
                if lowered not in TRUE + FALSE:
                    raise ValueError("neither true nor false")
                return lowered in TRUE
            if issubclass(kind, int):
                return int(self.text)
            if issubclass(kind, datetime):
                moment = datetime.fromisoformat(self.text)
                return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        except ValueError:
            raise BadRequest(f"{self.text!r} is no value for {self.key}") from None
        return self.text


def conditions(text: str | None) -> list[Condition]:
    """The conditions of a ``--filter-by``; raises BadRequest."""
    found = []
    for piece in (text or "").split(",") if text else ():
        match = _CONDITION.match(piece)
        if match is None:
            raise BadRequest(f"{piece!r} is no condition: write key=value, key!=value, key>=value")
        key, operator, value = match.groups()
        found.append(Condition(key, _SPELLINGS.get(operator, operator), value))
    return found


def stored_keys(stored: Mapping[str, tuple[type[Any], Callable[[Any], Any]]]) -> dict[str, Key]:
    """The keys of what rows are stored as; that of the name "" is the row itself, others have
    their name before them. What is no plain value, or secret, is left out."""
    keys: dict[str, Key] = {}
    for relation, (owner, get) in stored.items():
        hints = get_type_hints(owner)
        for each in fields(owner):
            kind = _plain_kind(hints[each.name])
            if each.repr and kind is not None:
                name = f"{relation}__{each.name}" if relation else each.name
                keys[name] = Key(_attribute(get, each.name), kind)
    return keys


def _attribute(get: Callable[[Any], Any], name: str) -> Callable[[Any], Any]:
    return lambda row: getattr(get(row), name, None)


def _plain_kind(hint: Any) -> type[Any] | None:
    kinds = [each for each in get_args(hint) or (hint,) if each is not NoneType]
    return kinds[0] if len(kinds) == 1 and kinds[0] in _KINDS else None
