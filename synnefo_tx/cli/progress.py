"""A bar that shows operators how far a long command is."""

from __future__ import annotations

from typing import TextIO

from attrs import define, field

WIDTH_CHARACTERS = 30


@define
class Progress:
    """Writes a bar over itself, on a terminal only; ``end`` leaves the last one there."""

    stream: TextIO
    what: str
    _shown: str = field(default="", init=False)

    def tell(self, done: int, total: int) -> None:
        """``done`` of ``total`` are done."""
        text = bar(self.what, done, total)
        if text != self._shown and self.stream.isatty():
            self.stream.write(f"\r{text}")
            self.stream.flush()
        self._shown = text

    def end(self) -> None:
        """What is written next begins a line."""
        if self._shown and self.stream.isatty():
            self.stream.write("\n")


def bar(what: str, done: int, total: int) -> str:
    """A bar with its figures; nothing to do counts as done."""
    filled = WIDTH_CHARACTERS if total == 0 else WIDTH_CHARACTERS * done // total
    return f"{what} [{'#' * filled}{' ' * (WIDTH_CHARACTERS - filled)}] {done} of {total}"
