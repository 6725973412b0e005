"""What all ``*-list`` commands have in common (identity reference §5, I-156).

``--filter-by "k>=v,k2!=v"`` compares fields, and stored attributes by their names; conditions are
joined by "and".
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from attrs import fields, frozen, has

from synnefo_tx.cli.command import FALSE, TRUE, Command, Options
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.output import Output, shown
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


@frozen
class Field:
    """A column: how it is got from a row, and what it is; ``stored`` is what filters compare, if
    that is not what is shown."""

    value: Callable[[Any], Any]
    help: str
    stored: Callable[[Any], Any] | None = None


@frozen
class Condition:
    """A piece of ``--filter-by``."""

    key: str
    operator: str
    text: str

    def holds(self, value: Any) -> bool:
        """Whether a row's value meets the condition; nothing is greater or less than None."""
        if value is None:
            return (self.operator == "!=") != (self.text == "")
        return _COMPARISONS[self.operator](value, self._like(value))

    def _like(self, value: Any) -> Any:
        try:
            if isinstance(value, bool):
                lowered = self.text.lower()
                if lowered not in TRUE + FALSE:
                    raise ValueError("neither true nor false")
                return lowered in TRUE
            if isinstance(value, int):
                return int(self.text)
            if isinstance(value, datetime):
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


class ListCommand(Command):
    """Lists rows; a subclass gives ``rows`` and the fields."""

    fields: ClassVar[dict[str, Field]]
    default_fields: ClassVar[tuple[str, ...]]
    row_type: ClassVar[type[Any]] = object
    user_field: ClassVar[str | None] = None
    project_field: ClassVar[str | None] = None
    deleted_field: ClassVar[str | None] = None

    async def rows(self, app: Context, options: Options) -> Sequence[Any]:
        """All rows in order; raises Fault."""
        raise TypeError(f"{type(self).__name__} has no rows")

    def columns(self, options: Options) -> tuple[str, ...]:
        """The fields shown unless ``--output`` names some."""
        return self.default_fields

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options that all listings have."""
        parser.add_argument("-o", "--output", help="fields to show, with commas between")
        parser.add_argument("--list-fields", action="store_true", help="list the fields and stop")
        parser.add_argument("--filter-by", help='conditions, as "key=value,key2>=value"')
        parser.add_argument("--list-filters", action="store_true", help="list the keys and stop")
        parser.add_argument("--no-headers", action="store_true", help="leave the headers out")
        if self.user_field is not None:
            parser.add_argument("-u", "--user", help="only what this user (uuid or e-mail) has")
        if self.project_field is not None:
            parser.add_argument("-p", "--project", help="only what is in this project (uuid)")
        if self.deleted_field is not None:
            parser.add_argument(
                "-d", "--deleted", action="store_true", help="what is deleted, instead"
            )

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """List what is asked for."""
        if options.list_fields:
            out.table(("Field", "Description"), [(k, f.help) for k, f in self.fields.items()])
            return
        if options.list_filters:
            out.table(("Key",), [(key,) for key in self._keys()])
            return
        names = self._names(options)
        wanted = conditions(options.filter_by)
        for condition in wanted:
            if condition.key not in self._keys():
                raise BadRequest(f"Unknown key {condition.key!r}: see --list-filters")
        rows = await self._chosen(app, options, wanted)
        texts = [[shown(self.fields[name].value(row)) for name in names] for row in rows]
        out.table(names, texts, show_headers=not options.no_headers)

    def _keys(self) -> list[str]:
        stored = [each.name for each in fields(self.row_type)] if has(self.row_type) else []
        return sorted({*self.fields, *stored})

    def _names(self, options: Options) -> tuple[str, ...]:
        if not options.output:
            return self.columns(options)
        names = tuple(name.strip() for name in options.output.split(","))
        for name in names:
            if name not in self.fields:
                raise BadRequest(f"Unknown field {name!r}: see --list-fields")
        return names

    async def _chosen(
        self, app: Context, options: Options, wanted: Iterable[Condition]
    ) -> list[Any]:
        rows = list(await self.rows(app, options))
        if self.user_field is not None and options.user:
            user = (await app.identity.users.get(options.user)).uuid
            rows = [row for row in rows if getattr(row, self.user_field) == user]
        if self.project_field is not None and options.project:
            rows = [row for row in rows if getattr(row, self.project_field) == options.project]
        if self.deleted_field is not None:
            rows = [row for row in rows if getattr(row, self.deleted_field) == options.deleted]
        for condition in wanted:
            rows = [row for row in rows if condition.holds(self._value(row, condition.key))]
        return rows

    def _value(self, row: Any, key: str) -> Any:
        known = self.fields.get(key)
        if known is None:
            return getattr(row, key)
        return (known.stored or known.value)(row)
