"""Keeps a VNC port open for each running guest, by following the cluster's state."""

# mypy: disallow-untyped-calls=False
# (twisted.application.service is not annotated)
from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet import defer
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from synnefo_tx.ganeti.memory.cluster import Cluster
from synnefo_tx.ganeti.memory.model import Instance
from synnefo_tx.ganeti.memory.store import Change
from synnefo_tx.ganeti.memory.vnc import Screen


class Screens(Service):
    """A listening port at ``interface`` per running guest that has a network port."""

    log = Logger()

    def __init__(self, reactor: Any, cluster: Cluster, interface: str) -> None:
        self._reactor = reactor
        self._cluster = cluster
        self._interface = interface
        self._open: dict[str, IListeningPort] = {}
        self._closing: set[str] = set()

    def startService(self) -> None:
        super().startService()
        for instance in list(self._cluster.store.instances.values()):
            self._follow(instance.name, instance)
        self._cluster.store.on_commit.append(self._committed)

    async def stop(self) -> None:
        """Close all ports."""
        self._cluster.store.on_commit.remove(self._committed)
        for name in list(self._open):
            await self._close(name)

    def stopService(self) -> Any:
        super().stopService()
        return defer.Deferred.fromCoroutine(self.stop())

    def _committed(self, changes: Sequence[Change]) -> None:
        for table, key, value in changes:
            if table == "instances":
                self._follow(key, value if isinstance(value, Instance) else None)

    def _follow(self, name: str, instance: Instance | None) -> None:
        shown = instance is not None and instance.guest is not None
        if not shown or instance is None or instance.network_port is None:
            if name in self._open:
                closing = defer.Deferred.fromCoroutine(self._close(name))
                closing.addErrback(self._not_closed, name)
        elif name not in self._open and name not in self._closing:
            self._show(instance, instance.network_port)

    def _show(self, instance: Instance, port: int) -> None:
        screen = Screen(instance.name, self._reactor)
        try:
            self._open[instance.name] = self._reactor.listenTCP(
                port, screen, interface=self._interface
            )
        except CannotListenError as taken:
            # KVM would not start; here another port is better than no screen.
            self.log.warn("screen of {name}: {error}", name=instance.name, error=str(taken))
            self._reactor.callLater(0, self._move, instance.name)

    def _move(self, name: str) -> None:
        """Give the instance another port, if it still has no screen."""
        instance = self._cluster.store.instances.get(name)
        if self.running and instance is not None and name not in self._open:
            self._cluster.save(instance, network_port=self._cluster.new_port())

    async def _close(self, name: str) -> None:
        """Close the port; then look again, for the guest may have been started meanwhile."""
        self._closing.add(name)
        try:
            await defer.maybeDeferred(self._open.pop(name).stopListening)
        finally:
            self._closing.discard(name)
        if self.running:
            self._follow(name, self._cluster.store.instances.get(name))

    def _not_closed(self, failure: Any, name: str) -> None:
        self.log.failure("screen of {name} did not close", failure, name=name)


def port_is_free(interface: str, port: int) -> bool:
    """Whether a screen could be opened there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((interface, port))
        except OSError as taken:
            if taken.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True
