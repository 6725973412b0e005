"""Commands about the broker's queues (operations reference §2.5)."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from synnefo_tx.cli.command import Command, Options, Terminal
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.output import Output
from synnefo_tx.faults import BadRequest, ServiceUnavailable
from synnefo_tx.ganeti.broker.interface import Link
from synnefo_tx.ganeti.broker.model import BrokerLost, BrokerRefused, NotTaken, Unroutable
from synnefo_tx.ganeti.broker.queues import Shown, look_into, retry_dead
from synnefo_tx.ganeti.broker.topology import Topology, declare


@asynccontextmanager
async def linked(app: Context) -> AsyncIterator[tuple[Link, Topology]]:
    """A link with what it should find there, for as long as a command takes.

    Raises BadRequest, ServiceUnavailable.
    """
    if app.broker is None:
        raise BadRequest("No broker is set: see broker.urls")
    try:
        link = await app.broker.broker.connect()
        try:
            yield link, app.broker.topology
        finally:
            await link.close()
    except BrokerRefused as error:
        raise BadRequest(f"The broker refused: {error}") from error
    except (BrokerLost, NotTaken, Unroutable) as error:
        raise ServiceUnavailable(f"The broker does not serve: {error}") from error


class QueueInspect(Command):
    """Show the messages of a queue, at most a thousand; they stay there.

    Messages that a consumer has taken are not shown: stop it to see them. Bodies may hold secrets.
    """

    name = "queue-inspect"
    shows_secrets = True

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments and options."""
        parser.add_argument("queue", metavar="QUEUE")
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--no-requeue", action="store_true", help="remove what is shown")
        which.add_argument(
            "-i", "--interactive", action="store_true", help="ask for each whether to remove it"
        )

    def prepare(self, options: Options, terminal: Terminal) -> None:
        """Keep the terminal for the questions."""
        options.terminal = terminal

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Show them."""

        async def keep(shown: Shown) -> bool:
            if not options.interactive:
                return not options.no_requeue
            out.note(f"{shown.position}: {shown.text}")
            out.note("Remove it? [y/N]")
            answer: str = await app.threads.files.run(options.terminal.read_line)
            return answer.strip().lower() not in ("y", "yes")

        count = 0
        async with linked(app) as (link, _):
            async for shown in look_into(link, options.queue, keep):
                count += 1
                out.record(_fields(shown), title=f"Message {shown.position}")
        out.note(f"{count} messages in {options.queue}")


def _fields(shown: Shown) -> list[tuple[str, str]]:
    delivery = shown.delivery
    headers = [(f"header {name}", str(value)) for name, value in sorted(shown.headers.items())]
    return [
        ("exchange", delivery.exchange),
        ("routing key", delivery.routing_key),
        ("redelivered", str(delivery.redelivered)),
        *headers,
        ("body", shown.text),
    ]


class QueueRetry(Command):
    """Publish dead letters again, to where they were published first.

    Dropped are those that died again after such a try, are not JSON, or do not say where they
    come from.
    """

    name = "queue-retry"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments and options."""
        parser.add_argument(
            "--keep-zombies", action="store_true", help="publish also what died again"
        )

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Go through the dead letters of every queue."""
        rows = []
        async with linked(app) as (link, topology):
            await declare(link, topology)
            for queue in topology.keys:
                async for each in retry_dead(link, queue, keep_zombies=options.keep_zombies):
                    result = each.why if each.again else f"dropped: {each.why}"
                    rows.append((each.queue, each.routing_key, result))
        out.table(("queue", "routing key", "result"), rows)
