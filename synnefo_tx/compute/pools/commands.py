"""Commands about pools (operations reference §2.3)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from synnefo_tx.cli.command import Command, Options
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.listing import Field, ListCommand
from synnefo_tx.cli.output import Output
from synnefo_tx.compute.pools.model import PoolUse
from synnefo_tx.compute.pools.operations import KINDS
from synnefo_tx.faults import BadRequest


class PoolCreate(Command):
    """Make the pool that networks get bridges, or MAC prefixes, from."""

    name = "pool-create"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        parser.add_argument("--type", choices=KINDS, required=True)
        parser.add_argument("--size", type=int, required=True, help="how many values")
        parser.add_argument(
            "--base", help="bridges are BASE1, BASE2 …; MAC prefixes begin at it (else aa:00:0)"
        )

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Make it and say its number."""
        base = options.base
        if base is None and options.type == "mac-prefix":
            base = app.settings.compute.default_mac_prefix
        if base is None:
            raise BadRequest("A pool of bridges needs a --base")
        id = await app.compute.pools.create(options.type, base, options.size)
        out.record([("id", id), ("type", options.type), ("size", options.size), ("base", base)])


class PoolList(ListCommand):
    """List pools of bridges and of MAC prefixes."""

    name = "pool-list"
    fields = {
        "id": Field(lambda row: row.pool.id, "number of the pool"),
        "type": Field(lambda row: row.pool.kind, "what it holds"),
        "size": Field(lambda row: row.pool.size, "how many values"),
        "base": Field(lambda row: row.pool.base, "what the values are made of"),
        "available": Field(lambda row: row.pool.size - row.taken, "values that are free"),
        "reserved": Field(lambda row: row.taken, "values that networks have, or nobody gets"),
    }
    default_fields = ("id", "type", "size", "base", "available", "reserved")

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        super().arguments(parser)
        parser.add_argument("--type", choices=KINDS, help="only those of a type")

    async def rows(self, app: Context, options: Options) -> Sequence[PoolUse]:
        """Every pool, or those of a type."""
        pools = await app.compute.pools.listing()
        return [each for each in pools if options.type in (None, each.pool.kind)]
