"""Keeps a store on disk: an append-only journal of commits, synced before they apply.

A record is one line: a CRC-32, a space, JSON. A crash can leave at most a broken last line, which
the next start cuts off; so what is read is always a prefix of what was committed. When the journal
has grown, the whole state is written as one record into a new file that replaces it.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from synnefo_tx.ganeti.memory.model import from_json, to_json
from synnefo_tx.ganeti.memory.store import Change, Store

COMPACT_AFTER_BYTES = 16 * 1024 * 1024


class Journal:
    """Follows ``store`` into the file ``path``, which it first reads.

    Opening raises OSError if the file cannot be used. ``close`` when done.
    """

    def __init__(
        self, path: Path, store: Store, compact_after_bytes: int = COMPACT_AFTER_BYTES
    ) -> None:
        self._path = path
        self._store = store
        self._compact_after_bytes = compact_after_bytes
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._size_bytes = self._replay()
        self._base_bytes = 0
        store.on_commit.append(self._append)

    def close(self) -> None:
        """Stop following the store."""
        self._store.on_commit.remove(self._append)
        os.close(self._descriptor)

    def _replay(self) -> int:
        """Apply every whole record, cut off what follows; the size that is left."""
        good = 0
        for changes, end in records(self._path.read_bytes()):
            self._store.apply(changes)
            good = end
        os.ftruncate(self._descriptor, good)
        os.fsync(self._descriptor)
        return good

    def _append(self, changes: Sequence[Change]) -> None:
        line = encode(changes)
        _write(self._descriptor, line)
        self._size_bytes += len(line)
        if self._size_bytes > self._base_bytes + self._compact_after_bytes:
            self._store.apply(changes)
            self._compact()

    def _compact(self) -> None:
        """Replace the journal by one record of the state; a crash leaves the old or the new."""
        whole: list[Change] = [
            (table, key, value)
            for table, rows in self._store.tables.items()
            for key, value in rows.items()
        ]
        line = encode(whole)
        fresh = self._path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        _write(descriptor, line)
        os.replace(fresh, self._path)
        _sync_folder(self._path.parent)
        os.close(self._descriptor)
        self._descriptor, self._size_bytes, self._base_bytes = descriptor, len(line), len(line)


def encode(changes: Sequence[Change]) -> bytes:
    """One record."""
    rows = [[table, key, value and to_json(value)] for table, key, value in changes]
    text = json.dumps(rows, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def records(content: bytes) -> Iterator[tuple[list[Change], int]]:
    """The changes of each whole record at the beginning of ``content``, and where it ends."""
    start = 0
    while (end := content.find(b"\n", start) + 1) > 0:
        checksum, _, text = content[start : end - 1].partition(b" ")
        if checksum != b"%08x" % zlib.crc32(text):
            return
        rows = json.loads(text)
        yield [(table, key, raw and from_json(table, raw)) for table, key, raw in rows], end
        start = end


def _write(descriptor: int, line: bytes) -> None:
    """Write all of it and have it on the disk."""
    view = memoryview(line)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
