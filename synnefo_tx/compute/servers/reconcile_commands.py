"""Commands that compare what is stored with what there is (operations reference §2.5)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from synnefo_tx.cli.command import Command, Options
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.output import Output
from synnefo_tx.compute.servers.reconcile import Kind, Settled
from synnefo_tx.faults import Conflict, ServiceUnavailable
from synnefo_tx.ganeti.backends.model import Backend
from synnefo_tx.ganeti.model import RapiFailure
from synnefo_tx.identity.quota.model import PROJECT_ITSELF, Drift

FIXES: dict[str, tuple[Kind, str]] = {
    "fix_stale": ("stale", "mark servers deleted that their cluster does not have"),
    "fix_orphans": ("orphan", "remove instances from clusters that are of no server here"),
    "fix_unsynced": ("state", "take over whether servers run"),
    "fix_unsynced_flavors": ("flavor", "take over the sizes of servers"),
}


class ReconcileServers(Command):
    """Compare servers with what their clusters have; change nothing unless told to.

    It fails while something differs, and when a cluster does not answer.
    """

    name = "reconcile-servers"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        parser.add_argument("--backend-id", type=int, metavar="ID", help="only this cluster")
        for name, (_, text) in FIXES.items():
            parser.add_argument(f"--{name.replace('_', '-')}", action="store_true", help=text)
        parser.add_argument("--fix-all", action="store_true", help="all of these")
        parser.add_argument(
            "--i-mean-it", action="store_true",
            help="fix even if most servers of a cluster are missing, or most instances unknown",
        )  # fmt: skip

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Compare cluster by cluster, and tell what differs."""
        kinds = {
            kind for name, (kind, _) in FIXES.items() if options.fix_all or getattr(options, name)
        }
        rows: list[tuple[Any, ...]] = []
        silent, left = [], 0
        for backend in await _backends(app, options):
            try:
                settled = await _settled(app, backend, kinds, options.i_mean_it)
            except RapiFailure as error:
                silent.append(backend.clustername)
                out.note(f"{backend.clustername}: {error}")
                continue
            left += sum(not each.fixed for each in settled)
            rows += [_row(backend, each) for each in settled]
        if rows:
            out.table(("backend", "instance", "kind", "difference", "result"), rows)
        _judge(silent, left)


async def _backends(app: Context, options: Options) -> Sequence[Backend]:
    if options.backend_id is not None:
        return [await app.ganeti.backends.get(options.backend_id)]
    return [each for each in await app.ganeti.backends.list() if not each.offline]


async def _settled(
    app: Context, backend: Backend, kinds: set[Kind], override: bool
) -> list[Settled]:
    reconciliation = app.compute.reconciliation
    comparison = await reconciliation.compare(await app.poller.read(backend.id))
    return await reconciliation.settle(comparison, kinds, override=override)


def _row(backend: Backend, settled: Settled) -> tuple[Any, ...]:
    found = settled.finding
    return (backend.clustername, found.instance, found.kind, found.text, settled.text)


def _judge(silent: Sequence[str], left: int) -> None:
    texts = [f"clusters that do not answer: {', '.join(silent)}"] if silent else []
    if left:
        texts.append(f"{left} differences are left: see --help for what fixes them")
    if texts:
        raise (ServiceUnavailable if silent else Conflict)("; ".join(texts))


class ReconcileResources(Command):
    """Compare the usage that quota records with the servers, volumes and networks there are.

    It fails while something differs.
    """

    name = "reconcile-resources-cyclades"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        parser.add_argument("--user", help="only this user (uuid or e-mail)")
        parser.add_argument("--project", metavar="UUID", help="only this project")
        parser.add_argument("--fix", action="store_true", help="correct what quota records")

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Compare, correct if asked to, and compare again."""
        user = (await app.identity.users.get(options.user)).uuid if options.user else None
        quota, usage = app.identity.quota, app.compute.usage
        chosen = {"user": user, "project": options.project}
        found = left = await quota.reconcile(usage, fix=options.fix, **chosen)
        if options.fix and found:
            left = await quota.reconcile(usage, **chosen)
        if found:
            out.table(
                ("Type", "Holder", "Source", "Resource", "Database", "Quotaholder"),
                [_drift(each) for each in found],
            )
        if left:
            raise Conflict(f"{len(left)} holdings differ: --fix corrects those that are not busy")


def _drift(drift: Drift) -> tuple[Any, ...]:
    held = drift.held
    of_project = held.member == PROJECT_ITSELF
    kind = "project" if of_project else "user"
    holder = held.project if of_project else held.member
    source = None if of_project else held.project
    recorded = f"{held.usage_min}-{held.usage_max}" if drift.pending else held.usage_max
    return (kind, holder, source, held.resource, drift.actual, recorded)
