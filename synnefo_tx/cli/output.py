"""What commands print: tables for people, CSV, JSON.

The texts come from users. On a terminal no character of theirs may do anything but show, and in a
spreadsheet no cell may become a formula (ASVS 16.4.1, 1.2.10).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TextIO

from attrs import field, frozen
from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

FORMATS = ("pretty", "csv", "json")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
MASK = "********"


def shown(value: Any) -> str:
    """A value as text: nothing for None, times in UTC, lists joined."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(shown(each) for each in value)
    return str(value)


def harmless(text: str) -> str:
    """The text with all that is not seen spelled out: controls, escapes, direction marks."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def csv_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


@frozen
class Table:
    """Rows of text below headers."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    show_headers: bool = True


def plain(table: Table) -> str:
    """A table as aligned text."""
    lines = [[harmless(cell) for cell in row] for row in table.rows]
    if table.show_headers:
        headers = [harmless(header) for header in table.headers]
        lines = [headers, ["-" * len(header) for header in headers], *lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = f"{harmless(table.title)}\n" if table.title else ""
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        text += "  ".join(cells).rstrip() + "\n"
    return text


@frozen
class Output:
    """Collects what a command says; ``finish`` writes it in the format that was asked for.

    What is said is written to ``audit`` too, with what was hidden replaced by asterisks, or only
    errors where all else may hold secrets.
    """

    stream: TextIO
    errors: TextIO
    format: str = "pretty"
    audit: TextIO | None = None
    quiet: bool = False
    audits_errors_only: bool = False
    _tables: list[Table] = field(factory=list, init=False)
    _hidden: set[str] = field(factory=set, init=False, repr=False)

    def hide(self, secret: str) -> None:
        """Keep a secret that is shown to the operator out of the audit log."""
        self._hidden.add(secret)

    def table(
        self,
        headers: Sequence[str],
        rows: Sequence[Sequence[Any]],
        *,
        title: str = "",
        show_headers: bool = True,
    ) -> None:
        """Say a table."""
        texts = tuple(tuple(shown(cell) for cell in row) for row in rows)
        self._tables.append(Table(tuple(headers), texts, title, show_headers))

    def record(self, pairs: Sequence[tuple[str, Any]], *, title: str = "") -> None:
        """Say the fields of one thing."""
        if self.format == "pretty":
            self.table(("", ""), pairs, title=title, show_headers=False)
        else:
            self.table([key for key, _ in pairs], [[value for _, value in pairs]], title=title)

    def note(self, text: str) -> None:
        """Tell people something at once, beside the output, unless they want it quiet."""
        if not self.quiet:
            self.errors.write(harmless(text) + "\n")
        if not self.audits_errors_only:
            self._audit(harmless(text) + "\n")

    def error(self, text: str) -> None:
        """Tell people what went wrong."""
        self.errors.write(harmless(text) + "\n")
        self._audit(harmless(text) + "\n")

    def finish(self) -> None:
        """Write everything."""
        for table in self._tables if not self.audits_errors_only else ():
            self._audit(plain(table))
        if self.format == "json":
            self._write_json()
            return
        for number, table in enumerate(self._tables):
            if number:
                self.stream.write("\n")
            if self.format == "csv":
                self._write_csv(table)
            elif self.stream.isatty():
                self._write_rich(table)
            else:
                self.stream.write(plain(table))

    def _audit(self, text: str) -> None:
        if self.audit is not None:
            for secret in self._hidden:
                text = text.replace(harmless(secret), MASK)
            self.audit.write(text)

    def _write_json(self) -> None:
        documents = {
            table.title: [dict(zip(table.headers, row, strict=True)) for row in table.rows]
            for table in self._tables
        }
        if not documents:
            return
        only = len(self._tables) == 1
        document = next(iter(documents.values())) if only else documents
        self.stream.write(json.dumps(document, indent=2) + "\n")

    def _write_csv(self, table: Table) -> None:
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        for row in ((table.headers,) if table.show_headers else ()) + table.rows:
            writer.writerow([csv_cell(harmless(cell)) for cell in row])
        self.stream.write(buffer.getvalue())

    def _write_rich(self, table: Table) -> None:
        rich = RichTable(
            title=Text(harmless(table.title)) if table.title else None,
            title_justify="left",
            show_header=table.show_headers,
            box=box.SIMPLE_HEAD,
        )
        for header in table.headers:
            rich.add_column(Text(harmless(header)), overflow="fold")
        for row in table.rows:
            rich.add_row(*(Text(harmless(cell)) for cell in row))
        Console(file=self.stream, highlight=False, markup=False, emoji=False).print(rich)
