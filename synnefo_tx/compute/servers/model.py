"""A server and what a request for one says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import field, frozen

from synnefo_tx.compute.flavors.model import Flavor, VolumeType
from synnefo_tx.compute.ports.model import WantedPort
from synnefo_tx.faults import ItemNotFound


@frozen
class Server:
    """The row of a server: what its life cycle decides on."""

    id: int
    name: str
    userid: str
    project: str
    backend: int | None
    flavor: int
    image: str
    operstate: str
    task: str
    task_intent: str | None
    task_flavor: int | None
    job_status: str
    last_job_id: int
    progress: int
    suspended: bool
    deleted: bool
    created: datetime
    updated: datetime
    state_changed: datetime

    @property
    def cluster(self) -> int:
        """The backend that the server is on; raises ItemNotFound for one, deleted, whose cluster
        was removed."""
        if self.backend is None:
            raise ItemNotFound("The server's cluster was removed.")
        return self.backend


@frozen
class NicView:
    """A port as a server's document shows it."""

    id: int
    network: int
    mac: str
    address: str | None
    state: str


@frozen
class ServerView:
    """A server with all that its document shows."""

    server: Server
    metadata: Mapping[str, str]
    nics: tuple[NicView, ...]
    volumes: tuple[int, ...]
    diagnostic: Mapping[str, str] | None


@frozen
class PersonalityFile:
    """A file to put into a new server; ``contents`` are base64."""

    path: str
    contents: str = field(repr=False)
    owner: str = "root"
    group: str = "root"
    mode: int = 0o440


@frozen
class ServerDraft:
    """A checked request for a server; ``backend`` is for the operator alone, who may also name a
    cluster that is drained."""

    name: str
    image: str
    flavor: int
    project: str | None
    metadata: Mapping[str, str]
    networks: tuple[WantedPort, ...] | None
    personality: tuple[PersonalityFile, ...]
    admin_password: str | None = field(repr=False)
    backend: int | None = None


@frozen
class Volume:
    """A volume of a server; sizes in GiB."""

    id: int
    size_gib: int
    status: str
    deleted: bool


@frozen
class VolumeDetails:
    """A volume of a server as operators see it."""

    id: int
    name: str
    index: int
    size_gib: int
    volume_type: VolumeType
    status: str
    source: str


@frozen
class Holdings:
    """What decides a server's charges: its state, its flavor, its volumes."""

    server: Server
    flavor: Flavor
    volumes: tuple[Volume, ...]
