"""Bodies of messages from clusters into typed events (ganeti-backend reference §6). Pure.

Whatever arrives is an event or MalformedMessage, nothing else. Of the many fields of the original
those are read on which something is decided here.
"""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

TEXT_MAX_CHARACTERS = 500
DETAILS_MAX_CHARACTERS = 10_000
JOB_ID_MAX = 2**63 - 1
# The last second of the year 9999.
SECONDS_MAX = 253_402_300_799

STATUSES = frozenset(("queued", "waiting", "canceling", "running", "canceled", "success", "error"))

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,254}")
_OPCODE = re.compile(r"OP_[A-Z_]{1,60}")


class MalformedMessage(ValueError):
    """The body is no message that we can read; the text says why, without its content."""


@frozen
class OpStatus:
    """A job on an instance has a new status.

    ``intent`` is the id in the job's reason, from those who send it; ``error`` says why a job
    failed. ``event_time`` is the cluster's clock.
    """

    cluster: str
    instance: str
    operation: str
    status: str
    job_id: int
    event_time: datetime
    intent: str | None = None
    error: str = ""
    log: str = ""


@frozen
class NetworkStatus:
    """A job on a network has a new status; fields as of OpStatus."""

    cluster: str
    network: str
    operation: str
    status: str
    job_id: int
    event_time: datetime
    intent: str | None = None
    error: str = ""
    log: str = ""


@frozen
class ClusterStatus:
    """A job on the cluster itself has a new status."""

    cluster: str
    operation: str
    status: str
    job_id: int
    event_time: datetime


@frozen
class BuildProgress:
    """How far an image is copied; ``percent`` is whole, at most 100, and may be negative."""

    instance: str
    percent: int
    event_time: datetime


@frozen
class ImageReport:
    """What the image installer tells the owner of a server."""

    instance: str
    source: str
    level: str
    message: str
    details: str
    event_time: datetime


@frozen
class OtherMessage:
    """A message of a type that means nothing here."""

    type: str


Event = OpStatus | NetworkStatus | ClusterStatus | BuildProgress | ImageReport | OtherMessage


def parse(body: bytes) -> Event:
    """The event in a body. Raises MalformedMessage."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedMessage("it is not JSON") from None
    if not isinstance(document, dict):
        raise MalformedMessage("it is no JSON object")
    kind = document.get("type")
    if not isinstance(kind, str):
        raise MalformedMessage("it has no type")
    reader = _READERS.get(kind)
    return OtherMessage(_text(kind)) if reader is None else reader(document)


def _name(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise MalformedMessage(f"{key} is no name")
    return value


def _operation(document: Mapping[str, Any]) -> str:
    value = document.get("operation")
    if not isinstance(value, str) or not _OPCODE.fullmatch(value):
        raise MalformedMessage("operation is no opcode")
    return value


def _status(document: Mapping[str, Any]) -> str:
    value = document.get("status")
    if not isinstance(value, str) or value not in STATUSES:
        raise MalformedMessage("status is none of Ganeti's")
    return value


def _job_id(document: Mapping[str, Any]) -> int:
    value = document.get("jobId")
    if type(value) is not int or not 0 < value <= JOB_ID_MAX:
        raise MalformedMessage("jobId is no job's number")
    return value


def _event_time(document: Mapping[str, Any]) -> datetime:
    """``[seconds, microseconds]`` by the cluster's clock."""
    value = document.get("event_time")
    if not isinstance(value, list) or len(value) != 2 or any(type(n) is not int for n in value):
        raise MalformedMessage("event_time is not [seconds, microseconds]")
    seconds, microseconds = value
    if not 0 <= seconds <= SECONDS_MAX or not 0 <= microseconds < 1_000_000:
        raise MalformedMessage("event_time is no time")
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)


def _intent(document: Mapping[str, Any]) -> str | None:
    """The intent's id. Other reasons, of administrators too, may follow the same prefix."""
    value = document.get("intent")
    if value is None:
        return None
    if not isinstance(value, str):
        raise MalformedMessage("intent is no text")
    try:
        return str(uuid.UUID(value))
    except ValueError:
        return None


def _text(value: str, limit: int = TEXT_MAX_CHARACTERS) -> str:
    """A text as the database takes it: no NUL, no half characters, not too long."""
    whole = value[:limit].replace("\0", "\ufffd")
    return whole.encode("utf-8", "replace").decode()


def _log(document: Mapping[str, Any]) -> str:
    value = document.get("logmsg")
    return "" if value is None else _text(str(value))


def _error(document: Mapping[str, Any], status: str) -> str:
    """Why the job failed: ``error`` of those who send it, else the opcode's result, which for a
    failure is ``[class, [text, code]]``."""
    if status == "canceled":
        return "the job was canceled"
    if status != "error":
        return ""
    told = document.get("error")
    if isinstance(told, str) and told:
        return _text(told)
    result = document.get("result")
    if isinstance(result, list) and len(result) == 2 and isinstance(result[1], list) and result[1]:
        return _text(str(result[1][0]))
    return "the job failed without a reason"


def _op_status(document: Mapping[str, Any]) -> OpStatus:
    return OpStatus(instance=_name(document, "instance"), **_job(document), **_outcome(document))


def _network_status(document: Mapping[str, Any]) -> NetworkStatus:
    return NetworkStatus(network=_name(document, "network"), **_job(document), **_outcome(document))


def _cluster_status(document: Mapping[str, Any]) -> ClusterStatus:
    return ClusterStatus(**_job(document))


def _job(document: Mapping[str, Any]) -> dict[str, Any]:
    """What every message about a job says."""
    return {
        "cluster": _name(document, "cluster"),
        "operation": _operation(document),
        "status": _status(document),
        "job_id": _job_id(document),
        "event_time": _event_time(document),
    }


def _outcome(document: Mapping[str, Any]) -> dict[str, Any]:
    """Whose job it is, and what came of it."""
    return {
        "intent": _intent(document),
        "error": _error(document, _status(document)),
        "log": _log(document),
    }


def _progress(document: Mapping[str, Any]) -> BuildProgress:
    value = document.get("progress")
    if type(value) not in (int, float) or not math.isfinite(float(_bounded(value))):
        raise MalformedMessage("progress is no number")
    percent = min(100, math.trunc(_bounded(value)))
    return BuildProgress(_name(document, "instance"), percent, _event_time(document))


def _bounded(value: Any) -> Any:
    """A number that is not too large to be one of a machine's."""
    return max(-1, min(101, value)) if type(value) is int else value


_LEVELS = {
    "image-warning": "WARNING",
    "image-error": "ERROR",
    "image-helper-warning": "WARNING",
    "image-helper-error": "ERROR",
    "image-helper-info": "INFO",
}


def _report(document: Mapping[str, Any]) -> ImageReport:
    """ganeti-backend reference §8.3: source, level and message of a diagnostic."""
    kind = str(document["type"])
    subtype = document.get("subtype")
    if kind == "image-helper" and not isinstance(subtype, str):
        raise MalformedMessage("subtype is no text")
    detailed = f"{kind}-{subtype}" if kind == "image-helper" else kind
    task = detailed in ("image-helper-task-start", "image-helper-task-end")
    source = detailed if task else kind
    message = _task(document) if task else _messages(document)
    stderr = document.get("stderr")
    if stderr is not None and not isinstance(stderr, str):
        raise MalformedMessage("stderr is no text")
    return ImageReport(
        instance=_name(document, "instance"),
        source=source,
        level=_LEVELS.get(detailed, "DEBUG"),
        message=_text(message) or source.replace("-", " "),
        details=_text(stderr or "", DETAILS_MAX_CHARACTERS),
        event_time=_event_time(document),
    )


def _task(document: Mapping[str, Any]) -> str:
    task = document.get("task")
    if not isinstance(task, str):
        raise MalformedMessage("task is no text")
    return task


def _messages(document: Mapping[str, Any]) -> str:
    messages = document.get("messages") or []
    if not isinstance(messages, list) or not all(isinstance(each, str) for each in messages):
        raise MalformedMessage("messages are no texts")
    return " ".join(messages)


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Event]] = {
    "ganeti-op-status": _op_status,
    "ganeti-network-status": _network_status,
    "ganeti-cluster-status": _cluster_status,
    "image-copy-progress": _progress,
    "image-info": _report,
    "image-warning": _report,
    "image-error": _report,
    "image-helper": _report,
}
