"""What a file of Ganeti's job queue means: bytes to the messages that it is worth.

Pure. A job file is one JSON object (Ganeti 3.0 and 3.1, ``Ganeti.JQueue.Objects``); which
messages follow from it and what they hold is ganeti-backend reference §6.1 and §6.2.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from attrs import evolve

from synnefo_tx.ganeti.eventd import fields
from synnefo_tx.ganeti.eventd.model import Announcement, BadJobFile, Job, Op, Stamp
from synnefo_tx.ganeti.jobs.model import REASON_PREFIX
from synnefo_tx.ganeti.model import FINAL_STATUSES, USER_REASON, Json

STATUSES = FINAL_STATUSES | {"queued", "waiting", "canceling", "running"}
HEARTBEAT_TAG = "snf:eventd:heartbeat"
HEARTBEAT_KEY = "eventd.heartbeat"
CLUSTER_KEY = "ganeti.event.cluster"
PREFIX_MAX_CHARACTERS = 64
ID_MAX_CHARACTERS = 100
TIME_MAX_SECONDS = 253_402_300_799  # the last second of the year 9999


def read_job(content: bytes) -> Job:
    """Read a job file. Raises BadJobFile, and nothing else, whatever ``content`` is."""
    try:
        document = json.loads(content, parse_constant=_no_number, parse_float=_number)
    except (ValueError, RecursionError) as error:
        raise BadJobFile(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadJobFile("not a JSON object")
    number = document.get("id")
    if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) < 20:
        number = int(number)
    if type(number) is not int or not 0 < number < 2**63:
        raise BadJobFile("no job id")
    ops = document.get("ops")
    if not isinstance(ops, list) or not ops:
        raise BadJobFile("no operations")
    received = _stamp(document.get("received_timestamp"))
    if received is None:
        raise BadJobFile("no time of receipt")
    return Job(number, received, _stamp(document.get("end_timestamp")), tuple(map(_op, ops)))


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _number(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text[:50])


def _op(document: Any) -> Op:
    if not isinstance(document, dict):
        raise BadJobFile("an operation that is no object")
    status, log = document.get("status"), document.get("log")
    if status == "cancelled":  # the original's spelling (ganeti-backend reference §12, row 15)
        status = "canceled"
    if not isinstance(status, str) or status not in STATUSES:
        raise BadJobFile("an operation without a known status")
    given = document.get("input")
    given = given if isinstance(given, dict) else {}
    opcode = given.get("OP_ID")
    return Op(
        opcode=opcode if isinstance(opcode, str) else "",
        input=given,
        status=status,
        result=document.get("result"),
        log=log if isinstance(log, list) else [],
        start=_stamp(document.get("start_timestamp")),
        exec=_stamp(document.get("exec_timestamp")),
        end=_stamp(document.get("end_timestamp")),
    )


def _stamp(value: Any) -> Stamp | None:
    match value:
        case [int(seconds), int(micros)] if 0 <= seconds <= TIME_MAX_SECONDS:
            return int(seconds), min(max(int(micros), 0), 999_999)
    return None


def announcements(job: Job, cluster: str) -> list[Announcement]:
    """What the job is worth telling now: at most one announcement for each operation.

    ``cluster`` is the cluster's name. Those whose ``wants_details`` is set lack what only the
    cluster knows: see ``with_details``.
    """
    found = (_announcement(job, index, cluster) for index in range(len(job.ops)))
    return [each for each in found if each is not None]


def _announcement(job: Job, index: int, cluster: str) -> Announcement | None:
    op = job.ops[index]
    common = {
        "event_time": list(event_time(job, op)),
        "operation": op.opcode,
        "status": op.status,
        "cluster": cluster,
        "jobId": job.id,
        "logmsg": fields.last_log(op.log),
        "result": op.result,
        "intent": _intent(job, op),
        "error": fields.error(op.status, op.result),
    }
    plain = Announcement(index, op.status, "", common)
    match op.opcode.split("_")[1:2]:
        case ["INSTANCE"]:
            return _of_instance(plain, op)
        case ["NETWORK"]:
            return _of_network(plain, op)
        case ["CLUSTER"] if op.opcode == "OP_CLUSTER_SET_PARAMS":
            return _typed(plain, CLUSTER_KEY, "ganeti-cluster-status", {})
        case ["TAGS"]:
            return _of_tags(plain, job, op)
    return None


def event_time(job: Job, op: Op) -> Stamp:
    """When an operation reached its status (ganeti-backend reference §6.1)."""
    times: list[Stamp | None]
    match op.status:
        case "queued":
            times = [job.received]
        case "waiting" | "canceling":
            times = [op.start, op.end]
        case "running":
            times = [op.exec, op.end]
        case _:
            # A job that another process gave up may lack its own times.
            times = [op.end, job.end, op.exec, op.start]
    return next((each for each in times if each is not None), job.received)


def _intent(job: Job, op: Op) -> str | None:
    """The intent in the reason trail of the operation, else of any of the job's."""
    for each in (op, *job.ops):
        trail = each.input.get("reason")
        for entry in trail if isinstance(trail, list) else []:
            match entry:
                case [source, str(text), *_] if source == USER_REASON:
                    found = text.removeprefix(REASON_PREFIX)
                    if found != text and found.isascii() and 0 < len(found) <= ID_MAX_CHARACTERS:
                        return found
    return None


def _of_instance(plain: Announcement, op: Op) -> Announcement | None:
    name = fields.only_instance(op.input)
    # A dry run does nothing, and its message could not be told from one that does.
    if name is None or op.input.get("dry_run"):
        return None
    extra = {
        "instance": name,
        "tags": fields.tags(op.opcode, op.input),
        "job_fields": fields.of_instance(op.opcode, op.status, op.input),
    }
    typed = _typed(plain, routing_key(name, "op"), "ganeti-op-status", extra)
    return typed and evolve(typed, wants_details=fields.wants_details(op.opcode, op.status))


def _of_network(plain: Announcement, op: Op) -> Announcement | None:
    name = op.input.get("network_name")
    if not isinstance(name, str):
        return None
    extra = {"network": name, "job_fields": fields.of_network(op.input)}
    return _typed(plain, routing_key(name, "network"), "ganeti-network-status", extra)


def _of_tags(plain: Announcement, job: Job, op: Op) -> Announcement | None:
    kind, name = op.input.get("kind"), op.input.get("name")
    if kind == "cluster" and op.opcode == "OP_TAGS_SET" and op.input.get("dry_run") is True:
        first = fields.tags(op.opcode, op.input)[:1]
        if first and first[0].startswith(HEARTBEAT_TAG):
            return _heartbeat(plain, job, op)
    if kind != "instance" or not isinstance(name, str) or op.status not in FINAL_STATUSES:
        return None
    if op.opcode not in ("OP_TAGS_SET", "OP_TAGS_DEL"):
        return None
    extra = {
        "instance": name,
        "tags": fields.tags(op.opcode, op.input),
        "job_fields": {"dry_run": op.input.get("dry_run")},
    }
    return _typed(plain, routing_key(name, "op"), "ganeti-op-status", extra)


def _heartbeat(plain: Announcement, job: Job, op: Op) -> Announcement | None:
    """One sign of life. Its operation waits for a few milliseconds only, so whoever reads it
    later tells the same, and only once."""
    if op.status == "queued":
        return None
    waiting = evolve(op, status="waiting")
    told = {"status": "waiting", "event_time": list(event_time(job, waiting)), "error": None}
    return _typed(evolve(plain, mark="waiting"), HEARTBEAT_KEY, "eventd-heartbeat", told)


def _typed(plain: Announcement, key: str | None, kind: str, extra: Json) -> Announcement | None:
    if key is None:
        return None
    return evolve(plain, routing_key=key, content={"type": kind, **plain.content, **extra})


def routing_key(name: str, subject: str) -> str | None:
    """The routing key for an object, None for an object that cannot be ours (§6)."""
    prefix, dash, _ = name.partition("-")
    if not dash or not prefix or len(prefix) > PREFIX_MAX_CHARACTERS:
        return None
    if not prefix.isascii() or not prefix.isprintable() or " " in prefix:
        return None
    return f"ganeti.{prefix}.event.{subject}"


def with_details(announcement: Announcement, details: Mapping[str, Any]) -> Announcement:
    """The announcement with what the cluster knows of the instance."""
    return evolve(announcement, content={**announcement.content, **details})
