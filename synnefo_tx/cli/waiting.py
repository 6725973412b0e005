"""``--wait``: the command ends when the job does, and says how it went (operations reference §1).

On a terminal what is waited for is shown while it lasts; elsewhere nothing is shown meanwhile.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from synnefo_tx.cli.command import Options, boolean
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.output import Output, harmless
from synnefo_tx.ganeti.jobs import waiting
from synnefo_tx.ganeti.jobs.model import Intent


def wait_option(parser: argparse.ArgumentParser, default: bool) -> None:
    """Declare --wait."""
    parser.add_argument(
        "--wait", type=boolean, default=default, metavar="True|False",
        help=f"wait for the job and say how it went (default {default})",
    )  # fmt: skip


async def wait_for(app: Context, subject: str, options: Options, out: Output) -> None:
    """Wait for all that is asked of clusters about ``subject``, if --wait says so.

    Raises Conflict when a job failed, ServiceUnavailable when it lasts too long.
    """
    if not options.wait:
        out.note("The job is on its way; what becomes of it is shown by the thing itself")
        return
    limit = app.settings.commands.wait_limit_seconds
    with progress(out.errors) as told:
        ended = await app.job_waiting.until_ended(subject, limit, told)
    waiting.check_success(ended)
    for each in reversed(ended):
        out.note(f"{waiting.described(each)} succeeded")


@contextmanager
def progress(stream: TextIO) -> Iterator[waiting.Progress]:
    """Shows what is waited for on a terminal, and cleans up after itself."""
    if not stream.isatty():
        yield lambda intent, trouble: None
        return
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    # Refreshed by us: no thread of rich's own.
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as shown:
        task = shown.add_task("")

        def tell(intent: Intent, trouble: str) -> None:
            state = trouble or intent.job_status or "not submitted yet"
            text = harmless(f"{waiting.described(intent)}: {state}")
            shown.update(task, description=text, refresh=True)

        yield tell
