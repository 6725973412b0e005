"""JSON logs, one object a line, with the request's id.

The id travels in a ContextVar: Twisted's coroutines keep their context over an await, so a log
line, an intent and a Ganeti reason made while a request is served all carry it.
"""

from __future__ import annotations

import json
import os
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    InvalidLogLevelError,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
)
from zope.interface import implementer

request_id: ContextVar[str] = ContextVar("request_id", default="")

# What Twisted itself puts into an event; everything else is a field of ours.
_encode = json.JSONEncoder(default=str).encode
_INTERNAL = frozenset(["format", "time", "system", "isError", "message", "why", "failure"])


@implementer(ILogObserver)
class JsonObserver:
    """Writes each event as one JSON line to ``stream``; control characters are escaped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: LogEvent) -> None:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(event["log_time"], UTC).isoformat(),
            "level": event["log_level"].name if event.get("log_level") else "info",
            "logger": event.get("log_namespace", ""),
            "message": formatEvent(event),
        }
        if request_id.get():
            line["request_id"] = request_id.get()
        for key, value in event.items():
            if key not in _INTERNAL and not key.startswith("log_"):
                line[key] = value if isinstance(value, str | int | float | bool) else str(value)
        if event.get("log_failure") is not None:
            line["traceback"] = event["log_failure"].getTraceback()
        self._stream.write(_encode(line) + "\n")
        self._stream.flush()


def observer(stream: TextIO, level: str) -> ILogObserver:
    """The observer of a process: JSON lines of at least ``level``."""
    predicate = LogLevelFilterPredicate(defaultLogLevel=LogLevel.levelWithName(level))
    # Twisted tells of each connection that starts and stops.
    predicate.setLogLevelForNamespace("twisted", LogLevel.warn)
    return FilteringLogObserver(JsonObserver(stream), [predicate])


def valid_level(level: str) -> bool:
    """Whether ``level`` names a log level."""
    try:
        LogLevel.levelWithName(level)
    except InvalidLogLevelError:
        return False
    return True


def _to_file(name: str) -> ILogObserver:
    home = Path(os.environ.get("SYNNEFO_HOME") or "/var/lib/synnefo")
    folder = home / "log"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    stream = (folder / name).open("a", encoding="utf-8", buffering=1)
    level = os.environ.get("SYNNEFO_LOG__LEVEL", "info")
    return observer(stream, level if valid_level(level) else "info")


def synnefo_file() -> ILogObserver:
    """For ``twistd --logger``: JSON lines to ``$SYNNEFO_HOME/log/synnefo.log``."""
    return _to_file("synnefo.log")


def ganeti_file() -> ILogObserver:
    """For ``twistd --logger``: JSON lines to ``$SYNNEFO_HOME/log/ganeti.log``."""
    return _to_file("ganeti.log")


def eventd_file() -> ILogObserver:
    """For ``twistd --logger``: JSON lines to ``$SYNNEFO_HOME/log/eventd.log``."""
    return _to_file("eventd.log")
