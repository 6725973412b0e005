"""What is read of a JSON body."""

from __future__ import annotations

import json
import time

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.faults import BadRequest
from synnefo_tx.rest.codec import NESTING_MAX, parse_json

LARGE = 1024 * 1024
brackets = st.text(st.sampled_from('[]{}"\\\\:,a'), max_size=60)


class NestingTests(SynchronousTestCase):
    def test_limit(self) -> None:
        """As many levels as are allowed, and not one more, of arrays and of objects."""
        for opening, closing in (("[", "]"), ('{"a": ', "}")):
            for depth in (NESTING_MAX, NESTING_MAX + 1):
                text = f"{opening * depth}1{closing * depth}".encode()
                if depth <= NESTING_MAX:
                    parse_json(text)
                else:
                    self.assertRaises(BadRequest, parse_json, text)
        self.assertRaises(BadRequest, parse_json, b"[" * LARGE)

    @given(st.dictionaries(brackets, brackets, max_size=4))
    def test_strings(self, document: dict[str, str]) -> None:
        """Brackets within strings are text, however many and beside whatever."""
        document = {key * 10: value * 10 for key, value in document.items()}
        self.assertEqual(parse_json(json.dumps(document).encode()), document)

    def test_time(self) -> None:
        """A body of the largest size takes no time that grows faster than it, however it is made
        of quotes and backslashes."""
        for piece in ('"', '\\"', "\\", '"[', '"\\"['):
            for text in ("[" * 20 + piece * (LARGE // len(piece)), '"' + piece * (LARGE // 2)):
                begun = time.process_time()
                self.assertRaises(BadRequest, parse_json, text.encode())
                self.assertLess(time.process_time() - begun, 2.0, piece)
