"""Keys for tests, in memory."""

from __future__ import annotations

from synnefo_tx.keyring.model import DATABASE, KEY_BYTES, Key, Ring
from synnefo_tx.keyring.operations import Keyring


def key(version: int, name: str = DATABASE) -> Key:
    """A key that is told from others by its version."""
    return Key(name, version, bytes([version]) * KEY_BYTES)


class MemoryKeys:
    """Keys that all keyrings on it share, as files are shared."""

    def __init__(self, *versions: int) -> None:
        self.versions = list(versions) or [1]
        self.loads = 0

    async def is_new(self) -> bool:
        return False

    async def begin(self) -> None:
        """There is always a version."""

    async def load(self) -> Ring:
        self.loads += 1
        return Ring(tuple(key(each) for each in sorted(self.versions, reverse=True)))

    async def make(self, name: str) -> int:
        self.versions.append(max(self.versions) + 1)
        return self.versions[-1]

    async def retire(self, name: str, versions: list[int]) -> None:
        self.versions = [each for each in self.versions if each not in versions]


def fixed_keyring() -> Keyring:
    """A keyring with one key, the same each time."""
    return Keyring(MemoryKeys())
