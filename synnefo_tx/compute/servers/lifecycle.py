"""The states of a server: pure (compute-api reference §8, ganeti-backend reference §8.2).

News may come late, twice, or not at all. What decides is the number of the job: those of a cluster
rise, so news of an older job than the last one applied change no state. Whoever applies a
transition ends the intent in the same transaction, so that a final status counts once.
"""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.compute.servers.model import Server
from synnefo_tx.ganeti.jobs.model import JobNews

TASK_OF_OPCODE = {
    "OP_INSTANCE_CREATE": "BUILD",
    "OP_INSTANCE_STARTUP": "START",
    "OP_INSTANCE_SHUTDOWN": "STOP",
    "OP_INSTANCE_REBOOT": "REBOOT",
    "OP_INSTANCE_SET_PARAMS": "RESIZE",
    "OP_INSTANCE_REMOVE": "DESTROY",
}
STATE_AFTER = {
    "OP_INSTANCE_CREATE": "STARTED",
    "OP_INSTANCE_STARTUP": "STARTED",
    "OP_INSTANCE_REBOOT": "STARTED",
    "OP_INSTANCE_SHUTDOWN": "STOPPED",
}
# Ganeti's text when the instance that a job is about does not exist.
UNKNOWN_INSTANCE = "not known"


@frozen
class Changes:
    """What becomes of a server; its charges follow from the difference.

    ``ports`` and ``volumes`` name the state that all of a server's take; ``diagnostic`` is told
    to the owner.
    """

    operstate: str
    task_ended: bool = False
    take_task_flavor: bool = False
    destroyed: bool = False
    ports: str | None = None
    volumes: str | None = None
    parameters_ended: bool = False
    diagnostic: str = ""
    job_id: int | None = None
    job_status: str = ""


@frozen
class Ignored:
    """News that change nothing, and why."""

    reason: str


def on_job(server: Server, news: JobNews) -> Changes | Ignored:
    """What news of a job on a server's instance mean for it."""
    if server.deleted:
        return Ignored("the server is deleted")
    if news.opcode not in TASK_OF_OPCODE:
        return Ignored(f"{news.opcode} does not concern a server's state")
    ours = news.intent is not None and news.intent == server.task_intent
    stale = news.job_id is not None and news.job_id < server.last_job_id
    if not news.final:
        if stale or not ours:
            return Ignored("progress of a job that is not the server's task")
        return Changes(server.operstate, job_status=news.status)
    if news.status == "success":
        return _succeeded(server, news, ours, stale)
    return _failed(server, news, ours)


def _succeeded(server: Server, news: JobNews, ours: bool, stale: bool) -> Changes:
    if news.opcode == "OP_INSTANCE_REMOVE":
        return _destroyed(news)
    created = news.opcode == "OP_INSTANCE_CREATE"
    # A server that ended in ERROR stays there: its charges and addresses are settled by removal.
    moves = not stale and (server.operstate != "ERROR" or created)
    state = STATE_AFTER.get(news.opcode, server.operstate) if moves else server.operstate
    return Changes(
        state,
        task_ended=ours,
        take_task_flavor=ours and news.opcode == "OP_INSTANCE_SET_PARAMS",
        ports="ACTIVE" if created else None,
        volumes="IN_USE" if created else None,
        parameters_ended=created,
        # Only what moves the state makes older news stale, else their order would matter.
        job_id=news.job_id if news.opcode in STATE_AFTER and not stale else None,
        job_status=news.status,
    )


def _destroyed(news: JobNews) -> Changes:
    return Changes(
        "DESTROYED",
        task_ended=True,
        destroyed=True,
        volumes="DELETED",
        parameters_ended=True,
        job_id=news.job_id,
        job_status=news.status,
    )


def _failed(server: Server, news: JobNews, ours: bool) -> Changes:
    if news.opcode == "OP_INSTANCE_CREATE" and server.operstate == "BUILD":
        return Changes(
            "ERROR",
            task_ended=ours,
            ports="ERROR",
            volumes="ERROR",
            parameters_ended=True,
            diagnostic=_why("The server could not be built", news),
            job_id=news.job_id,
            job_status=news.status,
        )
    if news.opcode == "OP_INSTANCE_REMOVE" and UNKNOWN_INSTANCE in news.error.lower():
        # A removal's job depends on the create's: nothing can still make the instance.
        return _destroyed(news)
    return Changes(
        server.operstate,
        task_ended=ours,
        diagnostic=_why(f"{_TASK_NAMES[news.opcode]} failed", news),
        job_status=news.status,
    )


_TASK_NAMES = {
    "OP_INSTANCE_CREATE": "Building",
    "OP_INSTANCE_STARTUP": "Starting",
    "OP_INSTANCE_SHUTDOWN": "Shutting down",
    "OP_INSTANCE_REBOOT": "Rebooting",
    "OP_INSTANCE_SET_PARAMS": "Resizing",
    "OP_INSTANCE_REMOVE": "Removing",
}
_ENDS = {
    "lost": "it was not submitted: no cluster took the request",
    "expired": "it did not end in time",
    "canceled": "it was canceled",
    "refused": "the cluster refused it",
}


def _why(what: str, news: JobNews) -> str:
    reason = _ENDS.get(news.status, "")
    return f"{what}: {': '.join(part for part in (reason, news.error) if part)}"


def api_status(server: Server) -> str:
    """The status that users see."""
    if server.deleted:
        return "DELETED"
    if server.operstate == "STARTED":
        rebooting = server.task == "REBOOT" and server.job_status in (
            "queued",
            "waiting",
            "running",
        )
        return "REBOOT" if rebooting else "ACTIVE"
    return server.operstate


TASK_STATES = {
    "": "",
    "BUILD": "BUILDING",
    "START": "STARTING",
    "STOP": "STOPPING",
    "REBOOT": "REBOOTING",
    "RESIZE": "RESIZING",
    "DESTROY": "DESTROYING",
}
