"""Ganeti's remote API as calls: the protocol, and its client over HTTP.

Facts of the API: Ganeti RAPI documentation, and what Ganeti 3.0 was seen to answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IAgent

from synnefo_tx.ganeti.model import (
    JOB_FIELDS,
    ClusterEndpoint,
    JobView,
    Json,
    RapiError,
    RapiFailure,
    RapiRefused,
    RapiUnanswered,
    job_view,
)
from synnefo_tx.ganeti.transport import Limits, Query, RapiTransport

__all__ = [
    "ClusterEndpoint",
    "Depends",
    "JobView",
    "Json",
    "Limits",
    "Rapi",
    "RapiError",
    "RapiFailure",
    "RapiRefused",
    "RapiUnanswered",
    "TreqRapi",
]

Depends = Sequence[tuple[int, Sequence[str]]]
"""Jobs to wait for: (job id, statuses in which it may end)."""

_IDS_PER_QUERY = 500


class Rapi(Protocol):
    """Calls to one Ganeti cluster.

    All raise RapiError (refused by the cluster), RapiRefused (certainly not sent) or
    RapiUnanswered (effect unknown); nothing is tried twice. Calls that change something take the
    text that each opcode of the job will keep as its reason, and return the job's id: that the
    job was accepted says nothing about its success.
    """

    async def version(self) -> int: ...

    async def info(self) -> Json: ...

    async def nodes(self) -> list[Json]: ...

    async def groups(self) -> list[Json]: ...

    async def instances(self) -> list[Json]: ...

    async def instance(self, name: str) -> Json: ...

    async def networks(self) -> list[Json]: ...

    async def network(self, name: str) -> Json: ...

    async def job(self, job_id: int) -> JobView: ...

    async def jobs_by_id(self, job_ids: Collection[int]) -> tuple[JobView, ...]: ...

    async def jobs_since(self, highest_id: int) -> tuple[JobView, ...]: ...

    async def highest_job_id(self) -> int: ...

    async def cancel_job(self, job_id: int) -> tuple[bool, str]: ...

    async def create_instance(self, body: Mapping[str, Any], reason: str) -> int: ...

    async def delete_instance(
        self,
        name: str,
        reason: str,
        *,
        shutdown_timeout_seconds: int | None = None,
        depends: Depends = (),
    ) -> int: ...

    async def startup(self, name: str, reason: str) -> int: ...

    async def shutdown(
        self, name: str, reason: str, *, timeout_seconds: int | None = None
    ) -> int: ...

    async def reboot(
        self,
        name: str,
        reason: str,
        *,
        kind: str = "hard",
        shutdown_timeout_seconds: int | None = None,
    ) -> int: ...

    async def modify_instance(self, name: str, body: Mapping[str, Any], reason: str) -> int: ...

    async def set_tags(self, name: str, tags: Iterable[str], reason: str) -> int: ...

    async def delete_tags(self, name: str, tags: Iterable[str], reason: str) -> int: ...

    async def create_network(self, body: Mapping[str, Any], reason: str) -> int: ...

    async def connect_network(self, name: str, body: Mapping[str, Any], reason: str) -> int: ...

    async def disconnect_network(
        self, name: str, group: str, reason: str, *, depends: Depends = ()
    ) -> int: ...

    async def delete_network(self, name: str, reason: str, *, depends: Depends = ()) -> int: ...


class TreqRapi:
    """``Rapi`` over HTTP with treq. Verifying the peer is ``agent``'s work, see ``tls_agent``."""

    def __init__(
        self,
        agent: IAgent,
        endpoint: ClusterEndpoint,
        clock: IReactorTime,
        limits: Limits | None = None,
    ) -> None:
        self.transport = RapiTransport(agent, endpoint, clock, limits or Limits())

    async def version(self) -> int:
        """Version of the remote API itself: 2."""
        return _job_id(await self.transport.request("GET", "/version"))

    async def info(self) -> Json:
        """The cluster's own parameters (``/2/info``)."""
        return _object(await self.transport.request("GET", "/2/info"))

    async def nodes(self) -> list[Json]:
        """All nodes with their figures; memory and disk in MiB, null when unknown."""
        return await self._list("nodes")

    async def groups(self) -> list[Json]:
        """All node groups."""
        return await self._list("groups")

    async def instances(self) -> list[Json]:
        """All instances with all fields."""
        return await self._list("instances")

    async def instance(self, name: str) -> Json:
        """One instance. Raises RapiError with status 404 when there is none."""
        return _object(await self.transport.request("GET", _path("instances", name)))

    async def networks(self) -> list[Json]:
        """All networks with all fields."""
        return await self._list("networks")

    async def network(self, name: str) -> Json:
        """One network. Raises RapiError with status 404 when there is none."""
        return _object(await self.transport.request("GET", _path("networks", name)))

    async def job(self, job_id: int) -> JobView:
        """One job, archived or not; an unknown one has no status."""
        jobs = await self.jobs_by_id([job_id])
        if [job.id for job in jobs] != [job_id]:
            raise RapiUnanswered(f"asked for job {job_id}, got {[job.id for job in jobs]!r:.80}")
        return jobs[0]

    async def jobs_by_id(self, job_ids: Collection[int]) -> tuple[JobView, ...]:
        """These jobs, archived ones too, in ascending order; unknown ones have no status."""
        wanted = sorted(set(job_ids))
        found: list[JobView] = []
        for start in range(0, len(wanted), _IDS_PER_QUERY):
            part = wanted[start : start + _IDS_PER_QUERY]
            found += await self._query_jobs(["|", *(["=", "id", job_id] for job_id in part)])
        return tuple(found)

    async def jobs_since(self, highest_id: int) -> tuple[JobView, ...]:
        """All jobs with a greater id, archived ones too, in ascending order."""
        return tuple(await self._query_jobs([">", "id", highest_id]))

    async def highest_job_id(self) -> int:
        """The greatest id of a job that is not archived, 0 when there is none.

        Ids only grow, so every job submitted from now on has a greater one.
        """
        listed = await self.transport.request("GET", "/2/jobs")
        return max((_job_id(job.get("id")) for job in _objects(listed)), default=0)

    async def cancel_job(self, job_id: int) -> tuple[bool, str]:
        """Ask to cancel a job that has not begun: whether it was, and the cluster's text."""
        answer = await self.transport.request("DELETE", f"/2/jobs/{job_id}", changes=True)
        match answer:
            case [bool(done), str(text)]:
                return done, text
        raise _garbled(answer)

    async def create_instance(self, body: Mapping[str, Any], reason: str) -> int:
        """Create an instance; see ``requests.create_body``."""
        return await self._submit("POST", "/2/instances", reason, body)

    async def delete_instance(
        self,
        name: str,
        reason: str,
        *,
        shutdown_timeout_seconds: int | None = None,
        depends: Depends = (),
    ) -> int:
        """Shut the instance down and remove it with its disks."""
        body = _given(shutdown_timeout=shutdown_timeout_seconds, depends=depends or None)
        return await self._submit("DELETE", _path("instances", name), reason, body)

    async def startup(self, name: str, reason: str) -> int:
        """Start the instance; one that runs is left running and the job succeeds."""
        return await self._submit("PUT", _path("instances", name, "startup"), reason)

    async def shutdown(self, name: str, reason: str, *, timeout_seconds: int | None = None) -> int:
        """Shut the instance down, by force after the time given (Ganeti's default: 120 s)."""
        body = _given(timeout=timeout_seconds)
        return await self._submit("PUT", _path("instances", name, "shutdown"), reason, body)

    async def reboot(
        self,
        name: str,
        reason: str,
        *,
        kind: str = "hard",
        shutdown_timeout_seconds: int | None = None,
    ) -> int:
        """Reboot the instance; ``kind`` is hard, soft or full. RAPI takes it in the query only."""
        body = _given(shutdown_timeout=shutdown_timeout_seconds)
        path = _path("instances", name, "reboot")
        return await self._submit("POST", path, reason, body, [("type", kind)])

    async def modify_instance(self, name: str, body: Mapping[str, Any], reason: str) -> int:
        """Change parameters, NICs or disks (``OP_INSTANCE_SET_PARAMS``)."""
        return await self._submit("PUT", _path("instances", name, "modify"), reason, body)

    async def set_tags(self, name: str, tags: Iterable[str], reason: str) -> int:
        """Add tags to the instance."""
        query = [("tag", tag) for tag in tags]
        return await self._submit("PUT", _path("instances", name, "tags"), reason, None, query)

    async def delete_tags(self, name: str, tags: Iterable[str], reason: str) -> int:
        """Remove tags from the instance; the job fails if it lacks one of them."""
        query = [("tag", tag) for tag in tags]
        return await self._submit("DELETE", _path("instances", name, "tags"), reason, None, query)

    async def create_network(self, body: Mapping[str, Any], reason: str) -> int:
        """Create a network; see ``requests.network_body``."""
        return await self._submit("POST", "/2/networks", reason, body)

    async def connect_network(self, name: str, body: Mapping[str, Any], reason: str) -> int:
        """Connect a network to a node group; see ``requests.connect_body``."""
        return await self._submit("PUT", _path("networks", name, "connect"), reason, body)

    async def disconnect_network(
        self, name: str, group: str, reason: str, *, depends: Depends = ()
    ) -> int:
        """Disconnect a network from a node group; fails while an address of it is in use there."""
        body = _given(group_name=group, depends=depends or None)
        return await self._submit("PUT", _path("networks", name, "disconnect"), reason, body)

    async def delete_network(self, name: str, reason: str, *, depends: Depends = ()) -> int:
        """Remove a network; fails while it is connected anywhere."""
        body = _given(depends=depends or None)
        return await self._submit("DELETE", _path("networks", name), reason, body)

    async def _submit(
        self,
        method: str,
        path: str,
        reason: str,
        body: Mapping[str, Any] | None = None,
        query: Query = (),
    ) -> int:
        answer = await self.transport.request(
            method, path, [*query, ("reason", reason)], body, changes=True
        )
        return _job_id(answer)

    async def _list(self, kind: str) -> list[Json]:
        return _objects(await self.transport.request("GET", f"/2/{kind}", [("bulk", "1")]))

    async def _query_jobs(self, qfilter: list[Any]) -> list[JobView]:
        body = {"fields": list(JOB_FIELDS), "qfilter": qfilter}
        answer = _object(await self.transport.request("PUT", "/2/query/job", (), body))
        try:
            rows = [[value for _, value in row] for row in answer["data"]]
            jobs = [job_view(dict(zip(JOB_FIELDS, row, strict=True))) for row in rows]
        except (KeyError, TypeError, ValueError, AttributeError) as garbled:
            raise _garbled(answer) from garbled
        return sorted(jobs, key=lambda job: job.id)


def _path(*parts: str) -> str:
    return "/2/" + "/".join(quote(part, safe="") for part in parts)


def _given(**values: Any) -> Json | None:
    """The values that are not None as a body, or no body."""
    return {name: value for name, value in values.items() if value is not None} or None


def _garbled(answer: Any) -> RapiUnanswered:
    return RapiUnanswered(f"not an answer of this call: {answer!r:.200}")


def _job_id(answer: Any) -> int:
    if type(answer) is not int:
        raise _garbled(answer)
    return answer


def _object(answer: Any) -> Json:
    if not isinstance(answer, dict):
        raise _garbled(answer)
    return answer


def _objects(answer: Any) -> list[Json]:
    if not isinstance(answer, list):
        raise _garbled(answer)
    return [_object(item) for item in answer]
