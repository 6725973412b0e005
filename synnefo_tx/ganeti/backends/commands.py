"""Commands about clusters that need nothing of compute (operations reference §2.2)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from synnefo_tx.cli.command import Command, Options, Terminal, boolean
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.output import Output
from synnefo_tx.faults import BadRequest, ServiceUnavailable
from synnefo_tx.ganeti.backends.model import Backend

HYPERVISORS = ("kvm", "xen-pvm", "xen-hvm", "fake")
FIELDS = (
    "clustername",
    "host",
    "port",
    "username",
    "password",
    "fingerprint",
    "ca_pem",
    "drained",
    "offline",
    "public",
    "hypervisor",
)


def trust_options(parser: argparse.ArgumentParser) -> None:
    """Declare how the cluster is known: --fingerprint or --ca."""
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument(
        "--fingerprint", metavar="SHA256:…", help="pin the certificate that the cluster shows"
    )
    trust.add_argument(
        "--ca", metavar="FILE", help="PEM file of the authority that signed its certificate"
    )


def read_authority(options: Options) -> None:
    """Put the content of the file that --ca names into ``options.ca_pem``; raises OSError."""
    options.ca_pem = options.ca and Path(options.ca).read_text(errors="replace")


def resources(backend: Backend) -> list[tuple[str, Any]]:
    """A cluster's measured figures as the original names them; MiB."""
    return [
        ("mfree", backend.mfree_mib),
        ("mtotal", backend.mtotal_mib),
        ("dfree", backend.dfree_mib),
        ("dtotal", backend.dtotal_mib),
        ("pinst_cnt", backend.pinst_cnt),
        ("ctotal", backend.ctotal),
    ]


class BackendModify(Command):
    """Change a cluster: where and how it is reached is tried first, unless it is offline."""

    name = "backend-modify"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments and options."""
        parser.add_argument("backend", metavar="ID", type=int)
        parser.add_argument("--clustername", help="what the cluster calls itself")
        parser.add_argument("--host", help="where it answers, if that is not its name")
        parser.add_argument("--port", type=int)
        parser.add_argument("--username")
        parser.add_argument("--password", help="- reads it from standard input")
        trust_options(parser)
        for option, text in (
            ("--drained", "whether it gets no new servers"),
            ("--offline", "whether it is never called"),
            ("--public", "whether projects need no grant for it"),
        ):
            parser.add_argument(option, type=boolean, metavar="True|False", help=text)
        parser.add_argument("--hypervisor", choices=HYPERVISORS)

    def prepare(self, options: Options, terminal: Terminal) -> None:
        """Read the password and the authority from where they are."""
        options.password = terminal.secret(options.password)
        read_authority(options)

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Change what is asked for."""
        given = {name: getattr(options, name) for name in FIELDS}
        changes = {name: value for name, value in given.items() if value is not None}
        if not changes:
            raise BadRequest("No change is asked for: see --help")
        changed = await app.ganeti.backends.reconfigure(options.backend, changes)
        out.note(f"Backend {changed.id} ({changed.clustername}) was changed")


class BackendUpdateStatus(Command):
    """Read figures, disk templates and node groups of every cluster that is not offline."""

    name = "backend-update-status"

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Read them all; it fails when some could not be read."""
        failures = await app.ganeti.backends.refresh_all()
        for name, text in failures.items():
            out.note(f"{name}: {text}")
        if failures:
            raise ServiceUnavailable(f"clusters that were not read: {', '.join(failures)}")
