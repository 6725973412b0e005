"""Job files as Ganeti 3.0.2 wrote them (``jobs/``), and jobs made for a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("jobs")
CLUSTER = "ganeti.example"
NODE = "node1.ganeti.example"


def real(name: str) -> bytes:
    """A file of a real cluster's queue."""
    return (FOLDER / f"{name}.json").read_bytes()


def altered(name: str, **changes: Any) -> bytes:
    """A real file whose first operation differs."""
    document = json.loads(real(name))
    document["ops"][0].update(changes)
    return json.dumps(document).encode()


def job(
    number: int,
    status: str = "success",
    *,
    at: int = 1_700_000_000,
    instance: str = "snf-1",
    ops: int = 1,
    opcode: str = "OP_INSTANCE_SHUTDOWN",
) -> bytes:
    """A job whose operations all have one status; it took three seconds from ``at`` on."""
    final = status in ("success", "error", "canceled")
    reason = [["gnt:user", f"synnefo:intent-{number}", 1], ["gnt:opcode:x", "job=1", 2]]
    op = {
        "input": {"OP_ID": opcode, "instance_name": instance, "reason": reason},
        "status": status,
        "result": ["OpExecError", ["it broke"]] if status == "error" else None,
        "log": [],
        "start_timestamp": None if status == "queued" else [at + 1, 0],
        "exec_timestamp": None if status in ("queued", "waiting") else [at + 2, 0],
        "end_timestamp": [at + 3, 0] if final else None,
        "priority": 0,
    }
    document = {
        "id": number,
        "ops": [op] * ops,
        "received_timestamp": [at, 0],
        "start_timestamp": op["start_timestamp"],
        "end_timestamp": op["end_timestamp"],
    }
    return json.dumps(document).encode()
