"""``server-inspect``: a server as it is stored, and as its cluster shows it (operations reference
§2.1)."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from synnefo_tx.caller import OPERATOR
from synnefo_tx.cli.command import Command, Options
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.output import Output
from synnefo_tx.compute.servers.commands import owner_email, server_argument, server_number
from synnefo_tx.compute.servers.inspection import Inspected
from synnefo_tx.compute.servers.lifecycle import TASK_STATES
from synnefo_tx.faults import ServiceUnavailable
from synnefo_tx.ganeti.model import JobView, RapiFailure

INSTANCE_FIELDS = (
    "name",
    "oper_state",
    "admin_state",
    "status",
    "pnode",
    "snodes",
    "network_port",
    "disk_template",
    "disk_usage",
    "oper_ram",
    "oper_vcpus",
)
HYPERVISOR_FIELDS = ("cdrom_image_path", "boot_order")
NIC_FIELDS = ("ip", "mac", "name", "network")
JOB_FIELDS = ("id", "status", "summary", "opresult", "opstatus", "oplog", "start_ts", "end_ts")


class ServerInspect(Command):
    """Show all of a server: what is stored, and what its cluster shows.

    It fails, after having shown what is stored, when the cluster does not answer in time.
    """

    name = "server-inspect"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments and options."""
        server_argument(parser)
        parser.add_argument("--jobs", action="store_true", help="show its Ganeti jobs too")

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Show what is stored, then what the cluster shows."""
        inspected = await app.compute.inspection.stored(server_number(app, options))
        out.record(await _stored(app, inspected), title="Server")
        _parts(inspected, out)
        diagnostics = await app.compute.servers.diagnostics(OPERATOR, inspected.server.id)
        out.table(
            ("Level", "Source", "Message", "Date"),
            [(level, source, message, date) for level, source, message, _, date in diagnostics],
            title="Diagnostics",
        )
        if inspected.backend is None:
            out.note("Its cluster was removed")
            return
        name = inspected.backend.clustername
        try:
            await _cluster(app, inspected, name, options, out)
        except RapiFailure as error:
            raise ServiceUnavailable(f"{name} does not show the instance: {error}") from error


async def _stored(app: Context, inspected: Inspected) -> list[tuple[str, Any]]:
    server, last = inspected.server, inspected.last_intent
    return [
        ("id", server.id),
        ("name", server.name),
        ("userid", server.userid),
        ("username", await owner_email(app, server.userid)),
        ("project", server.project),
        ("flavor_id", server.flavor),
        ("flavor_name", inspected.flavor.name),
        ("imageid", server.image),
        ("image_name", await _image_name(app, server.image)),
        ("created", server.created),
        ("state", server.operstate),
        ("backend", inspected.backend and inspected.backend.clustername),
        ("deleted", server.deleted),
        ("suspended", server.suspended),
        ("task", TASK_STATES[server.task]),
        ("task_job_id", inspected.task_job_id),
        ("backendjobid", last and last.job_id),
        ("backendopcode", last and last.opcode),
        ("backendjobstatus", last and last.job_status),
        ("backend_time", server.state_changed),
    ]


async def _image_name(app: Context, id: str) -> str:
    images = {each.id: each.name for each in await app.compute.images.list_all()}
    return images.get(id, "")


def _parts(inspected: Inspected, out: Output) -> None:
    out.table(
        ("ID", "Name", "Index", "MAC", "IPv4", "Network", "State"),
        [
            (port.id, port.name, port.index, port.mac, port.address, port.network, port.state)
            for port in inspected.ports
        ],
        title="Ports",
    )
    out.table(
        ("ID", "Name", "Index", "Size", "Template", "Provider", "Status", "Source"),
        [
            (
                volume.id,
                volume.name,
                volume.index,
                volume.size_gib,
                volume.volume_type.template,
                volume.volume_type.provider,
                volume.status,
                volume.source,
            )
            for volume in inspected.volumes
        ],
        title="Volumes",
    )


async def _cluster(
    app: Context, inspected: Inspected, name: str, options: Options, out: Output
) -> None:
    instance = await app.compute.inspection.instance(inspected.server)
    if instance is None:
        out.note(f"{name} has no such instance")
    else:
        _instance(instance, out)
    if options.jobs:
        await show_jobs(app, inspected, out)


async def show_jobs(app: Context, inspected: Inspected, out: Output) -> None:
    """Say the jobs of a server as its cluster shows them; raises RapiFailure."""
    jobs = await app.compute.inspection.jobs(inspected)
    out.table(JOB_FIELDS, [_job(job) for job in jobs], title="Ganeti jobs")


def _instance(instance: dict[str, Any], out: Output) -> None:
    pairs = [(name, instance.get(name)) for name in INSTANCE_FIELDS]
    times = [(name, _moment(instance.get(name))) for name in ("mtime", "ctime")]
    out.record(pairs + times, title="Ganeti instance")
    out.table(("tag",), [(tag,) for tag in instance.get("tags") or ()], title="Ganeti tags")
    hvparams = instance.get("hvparams") or {}
    out.record([(name, hvparams.get(name)) for name in HYPERVISOR_FIELDS], title="Ganeti hvparams")
    out.table(NIC_FIELDS, nics(instance), title="Ganeti NICs")
    disks = _zipped(instance, "disk.names", "disk.sizes")
    out.table(("name", "size"), disks, title="Ganeti disks")


def nics(instance: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The NICs of an instance as its cluster shows them: NIC_FIELDS."""
    return _zipped(instance, "nic.ips", "nic.macs", "nic.names", "nic.networks.names")


def _zipped(instance: dict[str, Any], *names: str) -> list[tuple[Any, ...]]:
    return list(zip(*(instance.get(name) or () for name in names), strict=False))


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _job(job: JobView) -> tuple[Any, ...]:
    # Of an opcode only its kind: its parameters may be long.
    return (
        job.id,
        job.status,
        [str(op.get("OP_ID")) for op in job.ops],
        [str(each) for each in job.opresult],
        job.opstatus,
        [" ".join(str(part) for part in line[2:]) for lines in job.oplog for line in lines],
        _moment(job.started_at),
        _moment(job.ended_at),
    )
