"""A cluster and what is taken of it."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.ganeti.backends.model import Backend


@frozen
class BackendUse:
    """A backend, its live servers, and the public IPv4 addresses of the networks on it."""

    backend: Backend
    servers: int
    addresses_free: int
    addresses_total: int
