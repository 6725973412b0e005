"""What users, projects and tokens have in common."""

from __future__ import annotations

import re

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


def is_uuid(text: str) -> bool:
    """Whether a text is a uuid in the form that the database gives: lower case, with hyphens."""
    return _UUID.match(text) is not None
