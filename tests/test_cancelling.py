"""A task that is cancelled must come to know of it: nothing on its way may take CancelledError,
which is an Exception in Twisted, for one failure among others."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

SOURCE = Path(__file__).parent.parent / "synnefo_tx"
CATCHES_ALL = {"Exception", "BaseException"}
# Each is never cancelled from outside, or is the outermost of what is.
ENDS_BY_ITSELF = {
    "changes/feed.py:_run",
    "cli/runner.py:execute",
    "console/sessions.py:check",
    "ganeti/eventd/luxi.py:of",
    "ganeti/eventd/monitor.py:_send",
    "operation/health.py:_one",
}


def awaits(body: list[ast.stmt]) -> bool:
    """Whether statements wait for something themselves, not in a function they define."""
    todo: list[ast.AST] = list(body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            todo += ast.iter_child_nodes(node)
    return False


def caught(handler: ast.ExceptHandler) -> set[str]:
    """The names of the exceptions a handler is for."""
    if handler.type is None:
        return {"BaseException"}
    parts = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {ast.unparse(each).rpartition(".")[2] for each in parts}


def swallows(attempt: ast.Try) -> bool:
    """Whether a cancellation would end in a handler that is for any failure."""
    for handler in attempt.handlers:
        names = caught(handler)
        if "CancelledError" in names:
            return False
        if names & CATCHES_ALL:
            return not any(isinstance(each, ast.Raise) for each in ast.walk(handler))
    return False


def swallowing() -> Iterator[str]:
    """Functions of the program that would not notice that they are cancelled."""
    for path in sorted(SOURCE.rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.AsyncFunctionDef):
                continue
            tries = [each for each in ast.walk(function) if isinstance(each, ast.Try)]
            if any(awaits(each.body) and swallows(each) for each in tries):
                yield f"{path.relative_to(SOURCE)}:{function.name}"


class CancellingTests(SynchronousTestCase):
    def test_let_through(self) -> None:
        """No function that waits takes its own cancellation for a failure and goes on."""
        self.assertEqual(set(swallowing()), ENDS_BY_ITSELF)
