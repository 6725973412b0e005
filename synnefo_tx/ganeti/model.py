"""What is said about and by a Ganeti cluster: its address, its jobs, its failures to answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen

Json = dict[str, Any]

USER_REASON = "gnt:user"
"""Source under which RAPI files the text of ``?reason=`` in each opcode."""

FINAL_STATUSES = frozenset({"success", "error", "canceled"})
"""Statuses that a Ganeti job never leaves."""


@frozen
class ClusterEndpoint:
    """Where a cluster answers RAPI, as whom we call, and how we know that it is the one.

    ``ca_pem`` holds one or more PEM authorities (the host name is then verified);
    ``fingerprint_sha256`` pins the certificate itself. ``offline`` forbids every call.
    """

    name: str
    host: str
    port: int
    username: str
    password: str = field(repr=False)
    ca_pem: str | None = field(default=None, repr=False)
    fingerprint_sha256: str | None = None
    offline: bool = False


@frozen
class JobView:
    """A Ganeti job as a query reports it. ``status`` is None when the cluster knows no such job.

    Times are seconds since the epoch by the cluster's clock; ``reasons`` are the texts that
    callers gave with ``?reason=``, each once.
    """

    id: int
    status: str | None
    ops: tuple[Mapping[str, Any], ...] = ()
    opstatus: tuple[str, ...] = ()
    opresult: tuple[Any, ...] = ()
    oplog: tuple[tuple[Any, ...], ...] = ()
    reasons: tuple[str, ...] = ()
    received_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    archived: bool = False

    @property
    def known(self) -> bool:
        """Whether the cluster has (or had, if archived) such a job."""
        return self.status is not None

    @property
    def final(self) -> bool:
        """Whether the job's status can no longer change."""
        return self.status in FINAL_STATUSES


class RapiFailure(Exception):
    """A call to a cluster did not succeed; the text is for operators."""


class RapiError(RapiFailure):
    """The cluster answered with an error: the call was refused, its outcome is known."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class RapiUnanswered(RapiFailure):
    """No answer, or none that can be understood: whether the call had its effect is unknown."""


class RapiRefused(RapiFailure):
    """The request was certainly never sent: nothing happened on the cluster."""


JOB_FIELDS = (
    "id",
    "status",
    "ops",
    "opstatus",
    "opresult",
    "oplog",
    "received_ts",
    "start_ts",
    "end_ts",
    "archived",
)
"""Query fields behind a ``JobView``; asking for ``archived`` makes Ganeti search the archive."""


def job_view(values: Mapping[str, Any]) -> JobView:
    """The job whose query fields are ``values``. Raises TypeError or ValueError if malformed."""
    ops = tuple(values["ops"] or ())
    return JobView(
        id=_integer(values["id"]),
        status=values["status"],
        ops=ops,
        opstatus=tuple(values["opstatus"] or ()),
        opresult=tuple(values["opresult"] or ()),
        oplog=tuple(tuple(entries) for entries in values["oplog"] or ()),
        reasons=_reasons(ops),
        received_at=_timestamp(values["received_ts"]),
        started_at=_timestamp(values["start_ts"]),
        ended_at=_timestamp(values["end_ts"]),
        archived=bool(values["archived"]),
    )


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"not an integer: {value!r:.80}")
    return value


def _timestamp(pair: Any) -> float | None:
    if pair is None:
        return None
    seconds, microseconds = pair
    return float(_integer(seconds)) + _integer(microseconds) / 1_000_000


def _reasons(ops: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    trail = (entry for op in ops for entry in op.get("reason") or ())
    return tuple(dict.fromkeys(str(text) for source, text, _ in trail if source == USER_REASON))
