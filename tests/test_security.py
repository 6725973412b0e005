"""The lists of what security asks are whole, and every test that they name exists."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.proofs import TEST_NAME, exists

DOCUMENT = Path(__file__).parent.parent / "docs" / "security.md"
ROW = re.compile(r"^\| (SEC\d+|\d+\.\d+\.\d+) \| (.+) \| (done|part|open) \| ?(.*?) ?\|$")
CASES = 46


class SecurityTests(SynchronousTestCase):
    def test_proofs(self) -> None:
        """Every case has its row; what is done or partly done names tests that exist."""
        lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
        rows = [line for line in lines if re.match(r"^\| (SEC)?\d", line)]
        found = [ROW.match(line) for line in rows]
        self.assertEqual([row for row, match in zip(rows, found, strict=True) if not match], [])
        wrong = []
        for match in filter(None, found):
            id, _, state, proof = match.groups()
            named = TEST_NAME.findall(proof)
            if state != "open" and not named and "requirements" not in proof:
                wrong.append(f"{id} names no test")
            if state == "part" and ";" not in proof:
                wrong.append(f"{id} does not say what is missing")
            wrong += [f"{id}: {each} does not exist" for each in named if not exists(each)]
        self.assertEqual(wrong, [])
        ids = [match[1] for match in found if match]
        self.assertEqual(len(ids), len(set(ids)))
        cases = [f"SEC{number}" for number in range(1, CASES + 1)]
        self.assertEqual([id for id in ids if id.startswith("SEC")], cases)
