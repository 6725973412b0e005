"""What a cluster's source of events publishes, made of the jobs of a cluster in memory."""

from __future__ import annotations

import json
import time

from synnefo_tx.ganeti.jobs.model import REASON_PREFIX

STATUSES = ("queued", "waiting", "running")


def body(document) -> bytes:
    """A message's body."""
    return json.dumps(document).encode()


def message(cluster, instance, operation, status, job_id, now=None, **fields):
    """A message about a job on an instance (ganeti-backend reference §6)."""
    now = time.time() if now is None else now
    return {
        "type": "ganeti-op-status",
        "event_time": [int(now), 0],
        "operation": operation,
        "status": status,
        "cluster": cluster,
        "jobId": job_id,
        "instance": instance,
        "logmsg": None,
        "result": None,
        "job_fields": {},
        "tags": [],
        **fields,
    }


def messages_of(cluster, job, *, with_intent=True):
    """All messages of a job, as far as it got; keys are its statuses."""
    [op] = job.ops
    reasons = [each for each in job.reasons if each.startswith(REASON_PREFIX)]
    fields = {"intent": reasons[0].removeprefix(REASON_PREFIX)} if with_intent and reasons else {}
    if "NETWORK" in op["OP_ID"]:
        fields |= {"type": "ganeti-network-status", "network": op["network_name"]}
    told = (*STATUSES, job.status) if job.final else STATUSES[: 1 + STATUSES.index(job.status)]
    result = {"result": job.opresult[0]} if job.final else {}
    return {
        status: message(
            cluster,
            op.get("instance_name", ""),
            op["OP_ID"],
            status,
            job.id,
            **fields,
            **(result if status == told[-1] else {}),
        )
        for status in told
    }
