"""The real clusters that the acceptance runner started, as tests see them.

The runner puts them into the environment variable ``SYNNEFO_TX_CLUSTERS`` as JSON.
"""

from __future__ import annotations

import json
import os
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutputAndValue

from synnefo_tx.ganeti.model import ClusterEndpoint

VARIABLE = "SYNNEFO_TX_CLUSTERS"


class CommandFailed(Exception):
    """A command inside a cluster ended with an error."""


@frozen
class RealCluster:
    """A cluster of the testbed: its RAPI, and how to run commands in its namespace."""

    name: str
    host: str
    port: int
    username: str
    password: str
    fingerprint_sha256: str
    state: str
    exec_path: str
    bridge: str

    @property
    def endpoint(self) -> ClusterEndpoint:
        """How to call it."""
        return ClusterEndpoint(
            self.name,
            self.host,
            self.port,
            self.username,
            self.password,
            fingerprint_sha256=self.fingerprint_sha256,
        )

    async def run(self, reactor: Any, *command: str) -> bytes:
        """Run a command inside the cluster; its output. Raises CommandFailed."""
        ending: Deferred[Any] = getProcessOutputAndValue(
            self.exec_path, command, env={**os.environ, "NAME": self.name}, reactor=reactor
        )
        out, err, code = await ending
        if code != 0:
            raise CommandFailed(f"{command}: {code}: {err!r:.500}")
        return bytes(out)


def clusters() -> tuple[RealCluster, ...]:
    """The clusters that were started, none outside of the runner."""
    listed = json.loads(os.environ.get(VARIABLE, "[]"))
    return tuple(RealCluster(**values) for values in listed)
