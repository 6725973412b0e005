"""The parity lists are whole, and every test that they name exists."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.proofs import TEST_NAME, exists

FOLDER = Path(__file__).parent.parent / "docs" / "parity"
ROWS = {"identity": 214, "compute": 168, "ganeti": 132, "operations": 204, "storage": 153}
ROW = re.compile(r"^\| ([ICGOS]-\d+) \| (.*) \| (done|differs|not here|open) \| (.*?) ?\|$")


def rows(name: str) -> list[tuple[str, str, str]]:
    """(id, state, proof) of every row of a list."""
    lines = (FOLDER / f"{name}.md").read_text(encoding="utf-8").splitlines()
    matches = [ROW.match(line) for line in lines if re.match(r"^\| [ICGOS]-", line)]
    assert all(matches), f"a row of {name} is malformed"
    return [(match[1], match[3], match[4]) for match in matches if match]


class ParityTests(SynchronousTestCase):
    def test_rows(self) -> None:
        """Each list has all its rows once."""
        for name, count in ROWS.items():
            ids = [id for id, _, _ in rows(name)]
            self.assertEqual((len(ids), len(set(ids))), (count, count), name)

    def test_proofs(self) -> None:
        """A row that is done or differs names a test that exists; other decisions give a reason."""
        wrong = []
        for name in ROWS:
            for id, state, proof in rows(name):
                named = TEST_NAME.findall(proof)
                if state in ("done", "differs") and not named:
                    wrong.append(f"{id} names no test")
                if state in ("differs", "not here") and len(proof) < 12:
                    wrong.append(f"{id} gives no reason")
                wrong += [f"{id}: {each} does not exist" for each in named if not exists(each)]
        self.assertEqual(wrong, [])
