"""Where keys are kept: files below SYNNEFO_HOME, or what configuration management puts down.

``keys/<name>.<version>.key`` below the home holds the 32 bytes of a version, with mode 0600; the
highest seals. ``keys/<name>.key`` is version 0, of installations before there were versions.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar

from attrs import frozen

from synnefo_tx.keyring.model import DATABASE, KEY_BYTES, Key, KeyringError, Ring, ring_of
from synnefo_tx.settings import Settings

T = TypeVar("T")
FILE_NAME = re.compile(r"([a-z][a-z0-9-]{0,31})(?:\.([1-9][0-9]{0,8}))?\.key")
OTHERS = 0o077


class InThread(Protocol):
    """Runs a blocking call elsewhere."""

    def __call__(self, function: Callable[[], T]) -> Awaitable[T]:
        """The result of ``function``."""
        ...


class KeySource(Protocol):
    """Gives keys, and takes new versions if it is one that may be written."""

    async def is_new(self) -> bool:
        """Whether there is no version yet and the first is ours to make; raises KeyringError."""

    async def begin(self) -> None:
        """Make the first version, unless there is one; raises KeyringError."""

    async def load(self) -> Ring:
        """All keys as they are now; raises KeyringError."""

    async def make(self, name: str) -> int:
        """Make a new version that seals from now on; its number. Raises KeyringError."""

    async def retire(self, name: str, versions: list[int]) -> None:
        """Remove versions for good; raises KeyringError."""


@frozen
class HomeKeys:
    """Keys in files of their own."""

    folder: Path
    in_thread: InThread

    async def is_new(self) -> bool:
        """See ``KeySource``."""
        return await self.in_thread(self._is_new)

    async def begin(self) -> None:
        """See ``KeySource``."""
        await self.in_thread(self._begin)

    async def load(self) -> Ring:
        """See ``KeySource``."""
        return await self.in_thread(self._load)

    async def make(self, name: str) -> int:
        """See ``KeySource``."""
        return await self.in_thread(lambda: self._make(name))

    async def retire(self, name: str, versions: list[int]) -> None:
        """See ``KeySource``."""
        await self.in_thread(lambda: self._retire(name, versions))

    def _is_new(self) -> bool:
        return not any(key.name == DATABASE for key in self._read())

    def _begin(self) -> None:
        # Of two processes that start at once both come here: there is one version 1.
        if self._is_new():
            self._write(DATABASE, 1)

    def _load(self) -> Ring:
        keys = self._read()
        if not any(key.name == DATABASE for key in keys):
            raise KeyringError(
                f"{self.folder} holds no key {DATABASE} any more: put the folder back as it was"
            )
        return Ring(tuple(sorted(keys, key=lambda key: (key.name, -key.version))))

    def _read(self) -> list[Key]:
        keys = []
        for path in sorted(self.folder.glob("*.key")):
            match = FILE_NAME.fullmatch(path.name)
            if match is None:
                continue
            try:
                keys.append(Key(match[1], int(match[2] or 0), private_bytes(path)))
            except KeyringError:
                # One that is being retired at this moment is no key any more.
                if path.exists():
                    raise
        return keys

    def _make(self, name: str) -> int:
        version = 1 + max((key.version for key in self._read() if key.name == name), default=0)
        self._write(name, version)
        return version

    def _write(self, name: str, version: int) -> None:
        """Make a version, whole and durable when others see it; nothing if it is there."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self.folder / f".{name}.{version}.{os.getpid()}"
        try:
            draft.unlink(missing_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(os.urandom(KEY_BYTES))
                stream.flush()
                os.fsync(stream.fileno())
            os.link(draft, self._path(name, version))
            self._sync()
        except FileExistsError:
            return  # another process was first
        except OSError as error:
            raise KeyringError(f"{self.folder} cannot be written: {error.strerror}") from None
        finally:
            draft.unlink(missing_ok=True)

    def _retire(self, name: str, versions: list[int]) -> None:
        for version in versions:
            self._path(name, version).unlink(missing_ok=True)
            # What a process that was killed while it made the version left is the key as well.
            for draft in self.folder.glob(f".{name}.{version}.*"):
                draft.unlink(missing_ok=True)
        self._sync()

    def _path(self, name: str, version: int) -> Path:
        return self.folder / (f"{name}.{version}.key" if version else f"{name}.key")

    def _sync(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@frozen
class ListedKeys:
    """Keys that somebody else writes: lines ``name:version:base64``, the first of a name seals."""

    read_lines: Callable[[], list[str]]
    where: str
    in_thread: InThread

    async def is_new(self) -> bool:
        """See ``KeySource``: the first version is somebody else's to make."""
        return False

    async def begin(self) -> None:
        """See ``KeySource``: there is nothing to be done."""

    async def load(self) -> Ring:
        """See ``KeySource``."""
        try:
            ring = await self.in_thread(lambda: ring_of(self.read_lines()))
            ring.sealing(DATABASE)
        except KeyringError as error:
            raise KeyringError(f"{self.where}: {error}") from None
        return ring

    async def make(self, name: str) -> int:
        """Refuse, and say how a version comes into what is not ours to write."""
        versions = [key.version for key in (await self.load()).of(name)]
        line = f"{name}:{max(versions, default=0) + 1}:KEY"
        raise KeyringError(
            f"the keys come from {self.where}, which is not written here. Everything is sealed "
            f"with the newest key. For a new one put the line {line} (KEY: openssl rand -base64 "
            "32) below the others on every host and restart the service there (SIGHUP); when all "
            "have it, put it first on every host, restart again, and run this command once more"
        )

    async def retire(self, name: str, versions: list[int]) -> None:
        """Refuse, and say that the lines may go."""
        numbers = ", ".join(map(str, versions))
        raise KeyringError(
            f"the keys come from {self.where}, which is not written here: version {numbers} of "
            f"{name} is used no more, remove its line on every host"
        )


def private_bytes(path: Path) -> bytes:
    """The content of a file that only its owner may read; raises KeyringError."""
    try:
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_mode & OTHERS:
                raise KeyringError(f"{path} may be read by others: chmod 600 {path}")
            return stream.read()
    except OSError as error:
        raise KeyringError(f"{path} cannot be read: {error.strerror}") from None


def source_of(settings: Settings, in_thread: InThread) -> KeySource:
    """Where the settings say that keys are; raises KeyringError."""
    own = settings.keyring
    if own.keys and own.file:
        raise KeyringError("keyring.keys and keyring.file are both set: keep one of them")
    if own.keys:
        return ListedKeys(lambda: list(own.keys), "keyring.keys", in_thread)
    if own.file:
        path = Path(own.file)

        def lines() -> list[str]:
            return private_bytes(path).decode("utf-8", "replace").splitlines()

        return ListedKeys(lines, own.file, in_thread)
    return HomeKeys(settings.home / "keys", in_thread)
