"""Documents that PostgreSQL writes."""

from __future__ import annotations

import json
from typing import Any

import psycopg2
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.db.document import Json, Listed, Members, Quoted, boolean, moment, text, written
from tests.support.database import TestServer

TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
LEAVES = st.none() | st.booleans() | st.integers() | TEXTS
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
)


class DocumentTests(SynchronousTestCase):
    def setUp(self) -> None:
        connection = psycopg2.connect(TestServer.get().server.url_of("postgres"))
        self.addCleanup(connection.close)
        self.cursor = connection.cursor()

    def read(self, document: Any, **values: Any) -> Any:
        """The document as PostgreSQL writes it."""
        self.cursor.execute(f"SELECT {written(document)}", values)
        return json.loads(self.cursor.fetchone()[0])

    @settings(max_examples=60, deadline=None)
    @given(DOCUMENTS, TEXTS)
    def test_constants_and_texts(self, document: Any, name: str) -> None:
        """Whatever a document holds comes out as it went in, quotes and percent signs too."""
        given = {"fixed": document, "name": text("%(name)s")}
        self.assertEqual(self.read(given, name=name), {"fixed": document, "name": name})

    def test_values(self) -> None:
        """Numbers, truth, times, identifiers and inner lists stand where the row has them."""
        found = self.read(
            {
                "number": Json("1 + 1"),
                "yes": boolean("2 > 1"),
                "at": moment("timestamptz '2026-01-02 03:04:05.5+02'"),
                "href": Quoted("'http://x/', 12"),
                "none": Listed("NULL"),
                "some": Listed("'1, 2'"),
                "members": Members("""'"a": 1'"""),
            }
        )
        self.assertEqual(
            found,
            {
                "number": 2, "yes": True, "at": "2026-01-02T01:04:05.500000+00:00",
                "href": "http://x/12", "none": [], "some": [1, 2], "members": {"a": 1},
            },
        )  # fmt: skip

    def test_long(self) -> None:
        """A document may have more parts than a function of PostgreSQL has arguments."""
        document = {str(number): Json(str(number)) for number in range(300)}
        self.assertEqual(self.read(document), {str(number): number for number in range(300)})
