"""What commands print, in three formats, with texts that users chose."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.cli.output import FORMULA_STARTS, Output, csv_cell, harmless, shown

NASTY = "\x1b[31mred\x1b[0m\r\n\u202eevil"


def set_variable(name: str, value: str | None) -> None:
    """Set a variable of the environment, or remove it."""
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class OutputTests(SynchronousTestCase):
    def written(self, format: str, act, stream: io.StringIO | None = None) -> str:
        stream = stream or io.StringIO()
        out = Output(stream, io.StringIO(), format)
        act(out)
        out.finish()
        return stream.getvalue()

    def test_plain(self) -> None:
        """Away from a terminal a table is plain, aligned text."""
        text = self.written("pretty", lambda out: out.table(("id", "name"), [(1, "a"), (22, None)]))
        self.assertEqual(text, "id  name\n--  ----\n1   a\n22\n")

    def test_headers_left_out(self) -> None:
        """Headers can be left out, also of an empty table."""
        for rows, text in (([("x", "y")], "x  y\n"), ([], "")):
            for format, separator in (("pretty", "  "), ("csv", ",")):
                written = self.written(
                    format, lambda out, rows=rows: out.table(("a", "b"), rows, show_headers=False)
                )
                self.assertEqual(written, text.replace("  ", separator))

    def test_terminal(self) -> None:
        """On a terminal a table shows every cell whole, and markup in texts is text."""
        stream = Terminal()
        text = self.written(
            "pretty", lambda out: out.table(("name",), [("[bold]x[/bold] :smile:",)]), stream
        )
        self.assertIn("[bold]x[/bold] :smile:", text)

    def test_width(self) -> None:
        """On a terminal a table is no wider than that, and still shows every cell whole."""
        for name, value in (("COLUMNS", "40"), ("LINES", "20"), ("NO_COLOR", "1")):
            self.addCleanup(set_variable, name, os.environ.get(name))
            set_variable(name, value)
        cell = "".join(f"{number:03}" for number in range(50))
        stream = Terminal()
        text = self.written(
            "pretty", lambda out: out.table(("name", "text"), [("x", cell)]), stream
        )
        lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in text.splitlines()]
        self.assertLessEqual(max(map(len, lines)), 40)
        self.assertIn(cell, "".join(re.findall(r"\d+", " ".join(lines))))

    def test_nothing_but_shown(self) -> None:
        """No escape code, control character or direction mark reaches a terminal or a CSV."""
        for format, stream in (("pretty", Terminal()), ("pretty", None), ("csv", None)):
            text = self.written(
                format,
                lambda out: out.table((NASTY,), [(NASTY,)], title=NASTY),
                stream,
            )
            for forbidden in ("\x1b[31m", "\r", "\u202e"):
                self.assertNotIn(forbidden, text)
            self.assertIn("\\x1b[31mred", text)

    def test_notes(self) -> None:
        """Notes go to standard error, harmless as well."""
        errors = io.StringIO()
        Output(io.StringIO(), errors).note(NASTY)
        self.assertEqual(errors.getvalue(), harmless(NASTY) + "\n")
        self.assertEqual(errors.getvalue().count("\n"), 1)

    def test_json(self) -> None:
        """JSON is a list of objects, or one list by title when there are several tables."""
        text = self.written("json", lambda out: out.table(("a",), [(1,), (NASTY,)]))
        self.assertEqual(json.loads(text), [{"a": "1"}, {"a": NASTY}])

        def several(out: Output) -> None:
            out.record([("id", 1)])
            out.table(("b",), [], title="Others")

        self.assertEqual(
            json.loads(self.written("json", several)), {"": [{"id": "1"}], "Others": []}
        )

    @given(st.text(alphabet="=+-@\t\ra,\"' \n", max_size=6))
    def test_no_formula(self, text: str) -> None:
        """No cell of a CSV begins like a formula, and one that did not is kept."""
        cell = csv_cell(harmless(text))
        self.assertFalse(cell.startswith(FORMULA_STARTS))
        written = self.written("csv", lambda out: out.table(("h",), [(text,)]))
        self.assertEqual(next(iter(list(csv.reader(io.StringIO(written)))[1:]), [""]), [cell])

    def test_values(self) -> None:
        """Values are shown as people read them."""
        moment = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
        self.assertEqual(shown(moment), "2026-01-02 03:04:05+00:00")
        self.assertEqual(shown(("a", "b")), "a, b")
        self.assertEqual((shown(None), shown(True), shown(0)), ("", "True", "0"))
