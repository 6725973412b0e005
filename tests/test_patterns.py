"""No pattern can be made to search for long by the text it is given (ASVS 1.3.12)."""

from __future__ import annotations

import importlib
import pkgutil
import re
import time
from collections.abc import Iterator

from twisted.trial.unittest import SynchronousTestCase

import synnefo_tx

LENGTH = 100_000
# One that tries every cut takes seconds; 10 ms on a quiet machine are more on a busy one.
LIMIT_SECONDS = 0.05
TRIES = 5
# Runs of what patterns repeat, each with an end that fits nothing: backtracking tries every cut.
UNITS = (
    "a",
    "0",
    " ",
    ".",
    "-",
    "a.",
    "a-",
    "0:",
    "/",
    "a@",
    "=",
    ",",
    "_a",
    '"',
    "\\",
    "[",
    "%41",
)
ENDS = ("\x00", "!", "\n")


def patterns() -> Iterator[tuple[str, re.Pattern[str] | re.Pattern[bytes]]]:
    """Every compiled pattern of a module, with its name."""
    for info in pkgutil.walk_packages(synnefo_tx.__path__, "synnefo_tx."):
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                yield f"{info.name}.{name}", value


def seconds(pattern: re.Pattern[str] | re.Pattern[bytes], text: str) -> float:
    """The shortest of some tries: other work of the machine is not the pattern's."""
    given = text if isinstance(pattern.pattern, str) else text.encode()
    taken = []
    for _ in range(TRIES):
        begun = time.process_time()
        pattern.match(given)
        pattern.fullmatch(given)
        taken.append(time.process_time() - begun)
        if taken[-1] < LIMIT_SECONDS:
            break
    return min(taken)


class PatternTests(SynchronousTestCase):
    def test_linear(self) -> None:
        """Every pattern says yes or no to 100 kB in milliseconds."""
        slow, count = [], 0
        for name, pattern in patterns():
            count += 1
            for unit in UNITS:
                for end in ENDS:
                    text = unit * (LENGTH // len(unit)) + end
                    if (taken := seconds(pattern, text)) > LIMIT_SECONDS:
                        slow.append(f"{name} on {unit!r}…{end!r}: {taken:.3f} s")
        self.assertEqual(slow, [])
        self.assertGreater(count, 20)
