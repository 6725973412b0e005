"""What an operation sees of the job that runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import frozen
from twisted.internet.task import deferLater

from synnefo_tx.ganeti.memory.cluster import Cluster

Fetch = Callable[[str], Awaitable[bytes]]
"""An HTTP GET: the body of a 200 answer; raises for anything else."""


@frozen(eq=False)
class Run:
    """One opcode being executed: its input, and how to log and to take time."""

    cluster: Cluster
    op: Mapping[str, Any]
    write_log: Callable[[str], None]
    fetch: Fetch | None
    hotplug_fails: Callable[[], bool]

    def log(self, text: str) -> None:
        """Add an entry to the job's log."""
        self.write_log(text)

    def info(self, text: str) -> None:
        """As Ganeti's ``LogInfo``."""
        self.write_log(f" - INFO: {text}")

    def warning(self, text: str) -> None:
        """As Ganeti's ``LogWarning``."""
        self.write_log(f" - WARNING: {text}")

    def hotplug(self) -> str:
        """Change a device of the running guest; what the job reports of it."""
        self.info("Trying to hotplug device...")
        if self.hotplug_fails():
            self.warning("Hotplug failed.")
            return "hotplug:failed"
        self.info("Hotplug done.")
        return "hotplug:done"

    async def pause(self, share: float) -> None:
        """Take this share of an ordinary job's time."""
        await self.sleep(share * self.cluster.config.job_seconds)

    async def sleep(self, seconds: float) -> None:
        """Take so many seconds."""
        await deferLater(self.cluster.clock, seconds)
