"""Functions fit a screen, modules have one subject."""

from __future__ import annotations

import ast
from pathlib import Path

from twisted.trial.unittest import TestCase

ROOT = Path(__file__).parent.parent
FOLDERS = ("synnefo_tx", "tests", "bench", "tap", "twisted")
MODULE_MAX_LINES, FUNCTION_MAX_LINES = 400, 40
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class SizeTests(TestCase):
    def test_sizes(self) -> None:
        """No module has more than 400 lines, no function more than 40."""
        found = []
        for path in sorted(each for name in FOLDERS for each in (ROOT / name).rglob("*.py")):
            text, name = path.read_text(), path.relative_to(ROOT)
            if (lines := text.count("\n")) > MODULE_MAX_LINES:
                found.append(f"{name}: {lines} lines")
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, FUNCTIONS) and node.end_lineno is not None:
                    lines = node.end_lineno - node.lineno + 1
                    if lines > FUNCTION_MAX_LINES:
                        found.append(f"{name}:{node.lineno} {node.name}: {lines} lines")
        self.assertEqual(found, [])
