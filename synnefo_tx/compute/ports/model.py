"""A port: one NIC of a server."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen


@frozen
class Port:
    """A NIC; its address is held from the pool of its subnet while the port lives."""

    id: int
    name: str
    userid: str
    network: int
    server: int
    index: int
    mac: str
    address: str | None
    subnet: int | None
    state: str
    created: datetime
    updated: datetime


@frozen
class WantedPort:
    """A port that a request asks for: a network, perhaps a certain address."""

    network: int
    fixed_ip: str | None = None
    forced: bool = False
