"""Names of tests in documents, and whether there are such tests."""

from __future__ import annotations

import importlib
import re

TEST_NAME = re.compile(r"tests(?:\.\w+)+")


def exists(dotted: str) -> bool:
    """Whether a dotted name is a module, a class or a method of a test."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[cut:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False
