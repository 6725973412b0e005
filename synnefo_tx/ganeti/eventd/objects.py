"""JSON objects out of a stream of bytes: one after the other, in any pieces. Pure."""

from __future__ import annotations

import codecs
import json
from typing import Any

OBJECT_MAX_CHARACTERS = 256 * 1024


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


class ObjectStream:
    """Gives the objects that ``feed`` completes.

    What is no object is skipped up to the next line, and counted in ``skipped``; so is an object
    that does not end within OBJECT_MAX_CHARACTERS.
    """

    def __init__(self) -> None:
        self.skipped = 0
        self._text = ""
        self._skipping = False
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._decoder = json.JSONDecoder(parse_constant=_no_number)

    def feed(self, chunk: bytes) -> list[dict[str, Any]]:
        """The objects that are complete with ``chunk``."""
        self._text += self._utf8.decode(chunk)
        found = []
        while (taken := self._next()) is not None:
            if isinstance(taken, dict):
                found.append(taken)
        return found

    def end(self) -> None:
        """There is no more input."""
        if self._text.strip():
            self.skipped += 1

    def _next(self) -> dict[str, Any] | str | None:
        """The next object; a text when something was skipped; None when more is needed."""
        if self._skipping:
            return self._skip_line()
        self._text = self._text.lstrip(" \t\r\n")
        if not self._text:
            return None
        if self._text[0] != "{":
            return self._skip()
        try:
            value, end = self._decoder.raw_decode(self._text)
        except RecursionError:
            return self._skip()
        except ValueError:
            if self._complete() or len(self._text) > OBJECT_MAX_CHARACTERS:
                return self._skip()
            return None
        self._text = self._text[end:]
        return value

    def _complete(self) -> bool:
        """Whether a line that cannot be read has ended: objects may span lines, so only where the
        next line begins another."""
        return "\n{" in self._text

    def _skip(self) -> str | None:
        self.skipped += 1
        self._skipping = True
        return self._skip_line()

    def _skip_line(self) -> str | None:
        _, newline, self._text = self._text.partition("\n")
        self._skipping = not newline
        return "" if newline else None
