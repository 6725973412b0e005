"""Commands about clusters and what is on them (operations reference §2.2)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from attrs import evolve

from synnefo_tx.cli.command import Command, Options, Terminal, boolean
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.listing import Field, ListCommand
from synnefo_tx.cli.output import Output
from synnefo_tx.cli.waiting import progress
from synnefo_tx.compute.backends.model import BackendUse
from synnefo_tx.faults import BadRequest, ServiceUnavailable
from synnefo_tx.ganeti.backends.commands import (
    HYPERVISORS,
    read_authority,
    resources,
    trust_options,
)
from synnefo_tx.ganeti.backends.model import Backend
from synnefo_tx.ganeti.backends.operations import Registration
from synnefo_tx.ganeti.jobs.waiting import described
from synnefo_tx.ganeti.model import RapiFailure


class BackendAdd(Command):
    """Take on a Ganeti cluster; it is stored drained.

    Without --fingerprint and --ca the certificate that the cluster shows is shown, and pinned when
    the operator agrees.
    """

    name = "backend-add"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments and options."""
        parser.add_argument("--clustername", required=True, help="what the cluster calls itself")
        parser.add_argument("--host", help="where it answers, if that is not its name")
        parser.add_argument("--port", type=int, default=5080)
        parser.add_argument("--user", required=True, help="user of its remote API")
        parser.add_argument(
            "--pass", dest="password", required=True, help="- reads it from standard input"
        )
        trust_options(parser)
        parser.add_argument(
            "--no-check", action="store_true", help="try neither credentials nor name"
        )
        parser.add_argument("--hypervisor", choices=HYPERVISORS, default=HYPERVISORS[0])
        parser.add_argument(
            "--no-init", action="store_true", help="store it, read and connect nothing"
        )
        parser.add_argument("--public", type=boolean, default=True, metavar="True|False")

    def prepare(self, options: Options, terminal: Terminal) -> None:
        """Read the password and the authority from where they are."""
        options.password = terminal.secret(options.password)
        options.terminal = terminal
        read_authority(options)

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Try it, store it, read its figures, bring the public networks there."""
        backends = app.ganeti.backends
        wanted = Registration(
            clustername=options.clustername,
            host=options.host or options.clustername,
            port=options.port,
            username=options.user,
            password=options.password,
            ca_pem=options.ca_pem,
            fingerprint=options.fingerprint,
            hypervisor=options.hypervisor,
            public=options.public,
        )
        if wanted.ca_pem is None and wanted.fingerprint is None:
            wanted = evolve(wanted, fingerprint=await _agreed_fingerprint(app, wanted, options))
        if not options.no_check:
            await backends.check(wanted)
        id = await backends.add(wanted)
        out.note(f"Backend {id} was added; it is drained until backend-modify --drained False {id}")
        if not options.no_init:
            await _initialize(app, id, out)


async def _agreed_fingerprint(app: Context, wanted: Registration, options: Options) -> str:
    seen = await app.ganeti.backends.fetch_fingerprint(wanted.host, wanted.port)
    terminal: Terminal = options.terminal
    place = f"{wanted.host}:{wanted.port}"
    if not terminal.is_interactive():
        raise BadRequest(
            f"{place} shows the certificate {seen}: compare that with the cluster's own and pass "
            f"it as --fingerprint, or name its authority with --ca FILE"
        )
    terminal.confirm(f"{place} shows the certificate {seen}: is this the cluster's?")
    return seen


async def _initialize(app: Context, id: int, out: Output) -> None:
    try:
        await app.ganeti.backends.refresh(id)
    except RapiFailure as error:
        raise ServiceUnavailable(
            f"its figures could not be read ({error}): see backend-update-status"
        ) from error
    backend = await app.ganeti.backends.get(id)
    out.record(resources(backend), title="Resources")
    copies = await app.compute.network_administration.bring_public([id])
    if copies:
        out.table(
            ("network", "name", "state"),
            [(network.id, network.name, copy.state) for network, copy in copies],
            title="Public networks",
        )


def _pair(free: int, total: int, unit: str = "") -> str:
    return f"{free}/{total}{unit}"


class BackendList(ListCommand):
    """List clusters."""

    name = "backend-list"
    stored = {"": (Backend, lambda row: row.backend)}
    fields = {
        "id": Field(lambda row: row.backend.id, "number of the backend"),
        "clustername": Field(lambda row: row.backend.clustername, "what the cluster calls itself"),
        "host": Field(lambda row: row.backend.host, "where it answers"),
        "port": Field(lambda row: row.backend.port, "port of its remote API"),
        "username": Field(lambda row: row.backend.username, "user of its remote API"),
        "fingerprint": Field(lambda row: row.backend.fingerprint, "its certificate, if pinned"),
        "drained": Field(lambda row: row.backend.drained, "whether it gets no new servers"),
        "offline": Field(lambda row: row.backend.offline, "whether it is never called"),
        "public": Field(lambda row: row.backend.public, "whether projects need no grant for it"),
        "vms": Field(lambda row: row.servers, "live servers"),
        "hypervisor": Field(lambda row: row.backend.hypervisor, "hypervisor of its servers"),
        "ips": Field(
            lambda row: _pair(row.addresses_free, row.addresses_total),
            "free and all public IPv4 addresses of the networks there",
            lambda row: row.addresses_free,
        ),
        "mem": Field(
            lambda row: _pair(row.backend.mfree_mib, row.backend.mtotal_mib, " MiB"),
            "free and all memory when it was last read",
            lambda row: row.backend.mfree_mib,
        ),
        "disk": Field(
            lambda row: _pair(row.backend.dfree_mib, row.backend.dtotal_mib, " MiB"),
            "free and all disk space when it was last read",
            lambda row: row.backend.dfree_mib,
        ),
        "disk_templates": Field(lambda row: row.backend.disk_templates, "kinds of disk"),
        "version": Field(lambda row: row.backend.version, "version of Ganeti"),
        "updated": Field(lambda row: row.backend.stats_at, "when it was last read"),
    }
    default_fields = (
        "id",
        "clustername",
        "port",
        "username",
        "drained",
        "offline",
        "public",
        "vms",
        "hypervisor",
        "ips",
        "disk_templates",
    )

    async def rows(self, app: Context, options: Options) -> Sequence[BackendUse]:
        """Every backend."""
        return await app.compute.backends.listing()


class BackendRemove(Command):
    """Give up a cluster that no server lives on; our networks go from it, if it answers."""

    name = "backend-remove"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments."""
        parser.add_argument("backend", metavar="ID", type=int)

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Drain it, take the networks from it, forget it."""
        id, removal = options.backend, app.compute.backend_removal
        name = (await app.ganeti.backends.get(id)).clustername
        await removal.drain(id)
        try:
            networks = await removal.withdraw_networks(id)
        except RapiFailure as error:
            out.note(f"{name} does not answer, our networks stay there: {error}")
            networks = []
        for network in networks:
            await _wait_for_network(app, network, id, out)
        await removal.forget(id)
        out.note(f"Backend {id} ({name}) was removed")


async def _wait_for_network(app: Context, network: int, backend: int, out: Output) -> None:
    limit = app.settings.commands.wait_limit_seconds
    with progress(out.errors) as told:
        ended = await app.job_waiting.until_ended(f"network:{network}", limit, told, backend)
    for each in ended:
        if each.outcome != "success":
            out.note(f"{described(each)} ended with {each.outcome}: {each.error}")
