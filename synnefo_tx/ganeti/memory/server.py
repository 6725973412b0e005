"""A whole cluster in memory: state, jobs, RAPI."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IAgent

from synnefo_tx.ganeti.memory.agent import MemoryAgent
from synnefo_tx.ganeti.memory.api import Api
from synnefo_tx.ganeti.memory.cluster import Cluster
from synnefo_tx.ganeti.memory.config import ClusterConfig
from synnefo_tx.ganeti.memory.faults import Faults
from synnefo_tx.ganeti.memory.front import Front, RapiSite
from synnefo_tx.ganeti.memory.jobs import JobQueue
from synnefo_tx.ganeti.memory.registry import OPERATIONS
from synnefo_tx.ganeti.memory.run import Fetch
from synnefo_tx.ganeti.memory.store import Store


class MemoryGaneti:
    """A Ganeti cluster on a given clock and chance; the same inputs give the same answers.

    ``fetch`` stands for the OS installer's HTTP client; without it no one-time parameters are
    fetched. ``store`` is the state of an earlier life, if any. ``port_is_free`` tells whether a
    screen can be opened at a port.
    """

    def __init__(
        self,
        clock: IReactorTime,
        chance: random.Random,
        *,
        config: ClusterConfig | None = None,
        username: str = "synnefo",
        password: str = "synnefo",  # noqa: S107  the password of a cluster that exists in memory
        fetch: Fetch | None = None,
        store: Store | None = None,
        port_is_free: Callable[[int], bool] = lambda port: True,
    ) -> None:
        self.username, self.password = username, password
        self.faults = Faults()
        self.cluster = Cluster(
            config or ClusterConfig(), store or Store(), clock, chance, port_is_free
        )
        self.cluster.set_up()
        self.jobs = JobQueue(self.cluster, OPERATIONS, self.faults, fetch)
        api = Api(self.cluster, self.jobs)
        credentials = (username, password)
        front = Front(api.app.resource(), api.knows, credentials, self.faults, clock)
        self.site = RapiSite(front, clock)
        self._agent = MemoryAgent(self.site, clock)
        self.jobs.recover()

    def agent(self) -> IAgent:
        """An agent whose every request goes to this cluster, whatever its host; no sockets."""
        return self._agent

    def restart(self) -> None:
        """The master loses power and comes back: jobs that had begun have died."""
        self.jobs.stop()
        self.jobs.recover()

    def stop(self) -> None:
        """End all work; the state stays."""
        self.jobs.stop()

    def kill_guest(self, name: str) -> None:
        """The instance's process ends by itself: ERROR_down. Raises OpFailed if unknown."""
        self._change(name, guest=None)

    def revive_guest(self, name: str) -> None:
        """The instance's process is started behind Ganeti's back. Raises OpFailed if unknown."""
        instance = self.cluster.instance(name)
        self._change(name, guest=(instance.memory_mib, instance.all_beparams["vcpus"]))

    def remove_behind(self, name: str) -> None:
        """The instance is gone without a job of ours."""
        self.cluster.store.commit(("instances", self.cluster.instance(name).name, None))

    def disk_text(self, name: str) -> str:
        """What the OS script wrote at the beginning of the instance's root disk."""
        return self.cluster.instance(name).disks[0].content

    def set_node(self, name: str, **changes: Any) -> None:
        """Change a node: ``offline``, ``drained``, ``memory_mib`` and so on."""
        node = attrs.evolve(self.cluster.store.nodes[name], **changes)
        self.cluster.store.commit(("nodes", name, node))

    def _change(self, name: str, **changes: Any) -> None:
        self.cluster.save(self.cluster.instance(name), **changes)
