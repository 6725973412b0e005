"""What all ``*-list`` commands have in common (identity reference §5, I-156)."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from attrs import frozen

from synnefo_tx.cli.command import Command, Options
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.filters import Key, conditions, stored_keys
from synnefo_tx.cli.output import Output, shown
from synnefo_tx.faults import BadRequest

USER_EMAIL = "user.email"
Stored = Mapping[str, tuple[type[Any], Callable[[Any], Any]]]


@frozen
class Field:
    """A column: how it is got from a row, and what it is; ``stored`` is what filters compare, if
    that is not what is shown."""

    value: Callable[[Any], Any]
    help: str
    stored: Callable[[Any], Any] | None = None


def itself(row: Any) -> Any:
    """The row: of lists whose rows are what is stored."""
    return row


class ListCommand(Command):
    """Lists rows; a subclass gives ``rows`` and the fields.

    ``stored`` tells what else filters may compare: the attributes of a row's own class below "",
    those of a related thing below its name. Lists with a ``user_field`` show the e-mail of that
    user as ``user.email``.
    """

    fields: ClassVar[dict[str, Field]]
    default_fields: ClassVar[tuple[str, ...]]
    stored: ClassVar[Stored] = {}
    user_field: ClassVar[str | None] = None
    mail_field: ClassVar[str] = USER_EMAIL
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
            parser.add_argument("--display-mails", action="store_true", help="show e-mails too")
        if self.project_field is not None:
            parser.add_argument("-p", "--project", help="only what is in this project (uuid)")
        if self.deleted_field is not None:
            parser.add_argument(
                "-d", "--deleted", action="store_true", help="what is deleted, instead"
            )

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """List what is asked for."""
        known = await self._fields(app, options)
        keys = stored_keys(self.stored)
        for name, each in known.items():
            kind = keys[name].kind if name in keys and each.stored is None else None
            keys[name] = Key(each.stored or each.value, kind)
        if options.list_fields:
            out.table(("Field", "Description"), [(k, f.help) for k, f in known.items()])
            return
        if options.list_filters:
            out.table(("Key",), [(key,) for key in sorted(keys)])
            return
        names = self._names(options, known)
        rows = await self._chosen(app, options, keys)
        texts = [[shown(known[name].value(row)) for name in names] for row in rows]
        out.table(names, texts, show_headers=not options.no_headers)

    async def _fields(self, app: Context, options: Options) -> dict[str, Field]:
        """The fields, with the e-mail of each row's user where there is one."""
        user_field = self.user_field
        if user_field is None or self.mail_field in self.fields:
            return self.fields
        texts = f"{options.output} {options.filter_by}"
        mails: dict[str, str] = {}
        if options.display_mails or self.mail_field in texts:
            mails = {each.uuid: each.email for each in await app.identity.users.list_all()}
        mail = Field(
            lambda row: mails.get(getattr(row, user_field) or "", ""), "e-mail of the user"
        )
        return {**self.fields, self.mail_field: mail}

    def _names(self, options: Options, known: Mapping[str, Field]) -> tuple[str, ...]:
        if not options.output:
            names = self.columns(options)
            mails = self.user_field is not None and options.display_mails
            return (*names, self.mail_field) if mails and self.mail_field not in names else names
        names = tuple(name.strip() for name in options.output.split(","))
        for name in names:
            if name not in known:
                raise BadRequest(f"Unknown field {name!r}: see --list-fields")
        return names

    async def _chosen(self, app: Context, options: Options, keys: Mapping[str, Key]) -> list[Any]:
        wanted = conditions(options.filter_by)
        for condition in wanted:
            if condition.key not in keys:
                raise BadRequest(f"Unknown key {condition.key!r}: see --list-filters")
            condition.check(keys[condition.key])
        rows = list(await self.rows(app, options))
        if self.user_field is not None and options.user:
            user = (await app.identity.users.get(options.user)).uuid
            rows = [row for row in rows if getattr(row, self.user_field) == user]
        if self.project_field is not None and options.project:
            project = (await app.identity.projects.get(options.project)).uuid
            rows = [row for row in rows if getattr(row, self.project_field) == project]
        if self.deleted_field is not None:
            rows = [row for row in rows if getattr(row, self.deleted_field) == options.deleted]
        for condition in wanted:
            value = keys[condition.key].value
            rows = [row for row in rows if condition.holds(value(row))]
        return rows
