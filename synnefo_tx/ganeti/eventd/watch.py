"""Watches the job queue with inotify, also after the kernel dropped events or the folder moved."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import fdesc, inotify
from twisted.logger import Logger
from twisted.python.filepath import FilePath

from synnefo_tx.ganeti.eventd.files import job_number

CHANGED = inotify.IN_MOVED_TO | inotify.IN_CLOSE_WRITE
GONE = inotify.IN_MOVED_FROM | inotify.IN_DELETE
_HEADER = struct.Struct("=iIII")


def overflowed(data: bytes) -> bool:
    """Whether the kernel says among these events that it dropped some (inotify(7))."""
    at = 0
    while at + _HEADER.size <= len(data):
        _, mask, _, size = _HEADER.unpack_from(data, at)
        if mask & inotify.IN_Q_OVERFLOW:
            return True
        at += _HEADER.size + size
    return False


class _Notifier(inotify.INotify):
    """Twisted's inotify, which by itself ignores that events were dropped."""

    def __init__(self, reactor: Any, dropped: Callable[[], None]) -> None:
        super().__init__(reactor)
        self._dropped = dropped

    def doRead(self) -> Any:
        return fdesc.readFromFD(self.fileno(), self._received)

    def _received(self, data: bytes) -> None:
        self._doRead(data)
        if overflowed(data):
            self._dropped()


class QueueWatch:
    """Calls ``changed`` and ``gone`` with numbers of jobs, ``dropped`` when events were lost."""

    log = Logger()

    def __init__(
        self,
        folder: Path,
        changed: Callable[[int], None],
        gone: Callable[[int], None],
        dropped: Callable[[], None],
        reactor: Any,
    ) -> None:
        self._folder = folder
        self._changed, self._gone, self._dropped = changed, gone, dropped
        self._reactor = reactor
        self._notifier: _Notifier | None = None
        self._identity: tuple[int, int] | None = None

    def follow(self, identity: tuple[int, int] | None) -> bool:
        """Watch the folder if it is not the one that is watched; whether the watch is new.

        ``identity`` is what the folder's path leads to now, None when there is no folder.
        """
        watching = self._notifier is not None and bool(self._notifier.connected)
        if watching and identity == self._identity:
            return False
        self.stop()
        if identity is None:
            return False
        notifier = _Notifier(self._reactor, self._dropped)
        try:
            notifier.watch(
                FilePath(str(self._folder)),
                mask=CHANGED | GONE | inotify.IN_ONLYDIR,
                callbacks=[self._notified],
            )
        except inotify.INotifyError as error:
            notifier.connectionLost(error)
            self.log.error("cannot watch {folder}: {error}", folder=self._folder, error=error)
            return False
        notifier.startReading()
        self._notifier, self._identity = notifier, identity
        self.log.info("watching {folder}", folder=self._folder)
        return True

    def stop(self) -> None:
        """Watch no more."""
        notifier, self._notifier = self._notifier, None
        if notifier is not None and notifier.connected:
            notifier.loseConnection()

    def _notified(self, watch: object, path: FilePath[bytes], mask: int) -> None:
        number = job_number(path.basename().decode("utf-8", "replace"))
        if number is None:
            return
        if mask & CHANGED:
            self._changed(number)
        elif mask & GONE:
            self._gone(number)
