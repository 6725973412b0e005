"""Use cases of servers: listing, showing, creating, renaming, metadata."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from attrs import field, frozen

from synnefo_tx.caller import Caller
from synnefo_tx.compute import charges, placement
from synnefo_tx.compute.flavors.model import Flavor
from synnefo_tx.compute.flavors.store import FlavorStore
from synnefo_tx.compute.images.model import Image, ImageSource
from synnefo_tx.compute.networks.operations import Networks
from synnefo_tx.compute.ports.model import Port
from synnefo_tx.compute.ports.operations import Placed, Ports
from synnefo_tx.compute.servers import rules
from synnefo_tx.compute.servers.model import Server, ServerDraft, ServerView
from synnefo_tx.compute.servers.pages import ServerPages
from synnefo_tx.compute.servers.parameters import Parameters, document
from synnefo_tx.compute.servers.store import ServerStore, diagnostics, find_view, list_views
from synnefo_tx.db.pool import Database, ForeignKeyViolation, Row, Transaction
from synnefo_tx.faults import BadRequest, ItemNotFound, ServiceUnavailable
from synnefo_tx.ganeti.backends.model import Backend, Size
from synnefo_tx.ganeti.backends.store import BackendStore
from synnefo_tx.ganeti.jobs.model import INTENT_TAG_PREFIX, Draft
from synnefo_tx.ganeti.jobs.operations import Jobs
from synnefo_tx.ganeti.jobs.store import JobStore
from synnefo_tx.ganeti.requests import (
    DiskSpec,
    InstanceSpec,
    NicSpec,
    create_body,
    disk_name,
    instance_name,
    network_name,
    nic_name,
)
from synnefo_tx.identity.quota.model import Provision
from synnefo_tx.identity.quota.operations import Quota
from synnefo_tx.journal.record import record
from synnefo_tx.log import request_id
from synnefo_tx.rest.once import ALWAYS, Once
from synnefo_tx.settings import Compute
from synnefo_tx.units import gib_to_mib

PASSWORD_CHARACTERS = string.ascii_letters + string.digits
PASSWORD_LENGTH = 12


@frozen
class Created:
    """A new server, its JSON, and the password that its reply shows once."""

    id: int
    document: bytes = field(repr=False)
    admin_password: str = field(repr=False)


def random_password(entropy: Callable[[int], bytes]) -> str:
    """A password with upper-case and lower-case letters and digits."""
    while True:
        # 248 is the largest multiple of 62 in a byte: what is above would favour some characters.
        drawn = [byte for byte in entropy(PASSWORD_LENGTH * 2) if byte < 248]
        text = "".join(PASSWORD_CHARACTERS[byte % 62] for byte in drawn[:PASSWORD_LENGTH])
        kinds = (str.isupper, str.islower, str.isdigit)
        if len(text) == PASSWORD_LENGTH and all(any(map(kind, text)) for kind in kinds):
            return text


async def journaled(
    tx: Transaction, action: str, server: Server, *, details: str = "", operation: str = ""
) -> None:
    """Write in the journal what was done to a server, or begun."""
    await record(
        tx,
        action,
        "server",
        server.id,
        owner=server.userid,
        project=server.project,
        details=details,
        operation=operation,
    )


def no_room() -> ServiceUnavailable:
    """The fault of a create for which no cluster is left."""
    return ServiceUnavailable("No cluster has room for the server. Try again later.")


@frozen
class _Build:
    """What the parts of a create hand on to each other."""

    caller: Caller
    draft: ServerDraft
    project: str
    flavor: Flavor
    image: Image
    intent: str
    password: str = field(repr=False)


class Servers:
    """Servers as their owners and the operator see them."""

    def __init__(
        self,
        database: Database,
        quota: Quota,
        jobs: Jobs,
        images: ImageSource,
        networks: Networks,
        ports: Ports,
        parameters: Parameters,
        pages: ServerPages,
        settings: Compute,
        new_id: Callable[[], str],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._database = database
        self._quota = quota
        self._jobs = jobs
        self._images = images
        self._networks = networks
        self._ports = ports
        self._parameters = parameters
        self._pages = pages
        self._settings = settings
        self._new_id = new_id
        self._entropy = entropy

    async def listing(self, caller: Caller, since: datetime | None = None) -> list[ServerView]:
        """The caller's live servers by id, or all that changed since a moment."""
        return await list_views(self._database, caller.user, caller.sees_all, since)

    async def show(self, caller: Caller, id: int) -> ServerView:
        """One server, also a deleted one; raises ItemNotFound."""
        view = await find_view(self._database, id, caller.user, caller.sees_all)
        if view is None:
            raise ItemNotFound("Server not found.")
        return view

    async def diagnostics(self, caller: Caller, id: int) -> list[Row]:
        """What happened to a server, newest first."""
        await self.show(caller, id)
        return await diagnostics(self._database, id)

    async def lock(self, tx: Transaction, caller: Caller, id: int) -> Server:
        """A server of the caller's, locked; raises ItemNotFound."""
        server = await ServerStore(tx).lock_owned(id, caller.user, caller.sees_all)
        if server is None:
            raise ItemNotFound("Server not found.")
        return server

    async def rename(self, caller: Caller, id: int, name: str) -> None:
        """Give a server another name."""
        rules.check_server_name(name)
        async with self._database.transaction("server-rename") as tx:
            server = await self.lock(tx, caller, id)
            rules.check_live(server, caller.sees_all)
            await ServerStore(tx).rename(id, name)
            await journaled(tx, "compute:server:rename", server, details=name)

    async def put_metadata(
        self, caller: Caller, id: int, values: Mapping[str, str]
    ) -> dict[str, str]:
        """Add or replace metadata items; all items after that."""
        async with self._database.transaction("server-metadata") as tx:
            server = await self.lock(tx, caller, id)
            rules.check_live(server, caller.sees_all)
            store = ServerStore(tx)
            rules.check_metadata({**await store.metadata(id), **values}, self._settings)
            await store.put_metadata(id, values)
            keys = ", ".join(sorted(values))
            await journaled(tx, "compute:server:metadata:change", server, details=keys)
            return await store.metadata(id)

    async def delete_metadata(self, caller: Caller, id: int, key: str) -> None:
        """Remove a metadata item; raises ItemNotFound if there is none."""
        async with self._database.transaction("server-metadata") as tx:
            server = await self.lock(tx, caller, id)
            rules.check_live(server, caller.sees_all)
            if not await ServerStore(tx).delete_metadata(id, key):
                raise ItemNotFound("Metadata key not found.")
            await journaled(tx, "compute:server:metadata:change", server, details=key)

    async def create(
        self, caller: Caller, draft: ServerDraft, once: Once[Created] = ALWAYS
    ) -> Created:
        """Begin to build a server: charged, addressed and placed in one transaction.

        Raises ItemNotFound, BadRequest, Conflict, OverLimit, ServiceUnavailable; then nothing is
        left of the request.
        """
        project = draft.project or caller.default_project
        if project not in caller.projects:
            raise BadRequest("You are not a member of the project")
        async with self._database.transaction("server-create") as tx:
            await once.claim(tx)
            flavor = await FlavorStore(tx).get_usable(draft.flavor)
            rules.check_flavor(flavor)
            image = await self._images.get_readable(tx, draft.image, caller.user)
            rules.check_image(image, flavor, self._settings)
            password = draft.admin_password or random_password(self._entropy)
            intent = self._new_id()
            build = _Build(caller, draft, project, flavor, image, intent, password)
            id = await self._create(tx, build)
            # Read before the commit: nothing that may fail stands between it and the reply.
            created = Created(id, await self._pages.show_new(tx, caller, id), password)
            await once.keep(tx, created)
        return created

    async def _create(self, tx: Transaction, build: _Build) -> int:
        ranked = await self._ranked(tx, build)
        placed = await self._ports.resolve(
            tx,
            build.caller,
            self._settings.forced_server_networks,
            build.draft.networks or (),
        )
        id = await self._insert(tx, build, ranked[0].id)
        if build.draft.metadata:
            await ServerStore(tx).put_metadata(id, build.draft.metadata)
        volume = await self._root_volume(tx, build, id)
        ports = await self._ports.bind(tx, build.caller, id, placed)
        backend = await self._debit(tx, build, ranked)
        await ServerStore(tx).set_backend(id, backend.id)
        after = await self._bring_networks(tx, placed, backend.id)
        await self._charge(tx, build)
        content = document(build.image, build.draft, build.password)
        config_url = await self._parameters.store(tx, id, content)
        spec = self._spec(build, id, backend, volume, ports, config_url)
        await JobStore(tx).insert_intent(
            self._intent(build, backend, spec, after), request_id.get()
        )
        await record(
            tx,
            "compute:server:create",
            "server",
            id,
            owner=build.caller.user,
            project=build.project,
            details=build.draft.name,
            operation=build.intent,
        )
        tx.after_commit(lambda: self._jobs.submit_soon([*after, build.intent]))
        return id

    async def _insert(self, tx: Transaction, build: _Build, backend: int) -> int:
        try:
            return await ServerStore(tx).insert(
                build.draft.name,
                build.caller.user,
                build.project,
                backend,
                build.flavor.id,
                build.image.id,
                build.intent,
            )
        except ForeignKeyViolation:
            # The cluster was given up since it was chosen.
            raise no_room() from None

    def _size(self, flavor: Flavor) -> Size:
        doubled = 2 if flavor.volume_type.template == "drbd" else 1
        return Size(
            ram_mib=flavor.ram_mib,
            disk_mib=gib_to_mib(flavor.disk_gib) * doubled,
            vcpus=self._settings.vcpus_per_instance,
            ratio=self._settings.vcpu_ratio_max,
        )

    async def _ranked(self, tx: Transaction, build: _Build) -> list[Backend]:
        size, template = self._size(build.flavor), build.flavor.volume_type.template
        if build.draft.backend is not None:
            wanted = await BackendStore(tx).get(build.draft.backend)
            ranked = [wanted] if placement.has_room(wanted, size, template) else []
        else:
            ranked = placement.ranked(await BackendStore(tx).candidates(), size, template)
        if not ranked:
            raise no_room()
        return ranked

    async def _debit(self, tx: Transaction, build: _Build, ranked: Sequence[Backend]) -> Backend:
        size, named = self._size(build.flavor), build.draft.backend is not None
        for backend in ranked:
            if await BackendStore(tx).debit(backend.id, size, build.intent, even_drained=named):
                return backend
        raise no_room()

    async def _root_volume(self, tx: Transaction, build: _Build, server: int) -> int:
        return await ServerStore(tx).insert_volume(
            {
                "name": f"{build.draft.name} root",
                "userid": build.caller.user,
                "project": build.project,
                "size_gib": build.flavor.disk_gib,
                "volume_type": build.flavor.volume_type.id,
                "server": server,
                "index": 0,
                "source": f"image:{build.image.id}",
            }
        )

    async def _bring_networks(
        self, tx: Transaction, placed: Sequence[Placed], backend: int
    ) -> list[str]:
        networks = {each.network.id: each.network for each in placed}
        intents: list[str] = []
        # In the order of their numbers: two servers must not make copies crosswise.
        for id in sorted(networks):
            intents += await self._networks.bring(tx, networks[id], backend)
        return intents

    async def _charge(self, tx: Transaction, build: _Build) -> None:
        amounts = charges.of_build(build.flavor)
        await self._quota.charge(
            tx,
            [
                Provision(build.caller.user, build.project, resource, quantity)
                for resource, quantity in amounts.items()
            ],
        )

    def _spec(
        self,
        build: _Build,
        server: int,
        backend: Backend,
        volume: int,
        ports: Sequence[Port],
        config_url: str,
    ) -> InstanceSpec:
        prefix = self._settings.backend_prefix_id
        kind = build.flavor.volume_type
        disk = DiskSpec(
            disk_name(volume, prefix), gib_to_mib(build.flavor.disk_gib), provider=kind.provider
        )
        nics = [
            NicSpec(
                nic_name(port.id, prefix),
                network_name(port.network, prefix),
                port.address,
                port.mac,
            )
            for port in ports
        ]
        return InstanceSpec(
            name=instance_name(server, prefix),
            os=self._settings.os_name,
            disk_template=kind.template,
            hypervisor=backend.hypervisor,
            disks=[disk],
            nics=nics,
            vcpus=build.flavor.cpu,
            memory_mib=build.flavor.ram_mib,
            osparams={
                "config_url": config_url,
                "img_id": build.image.location,
                "img_format": build.image.disk_format,
            },
            hvparams={"serial_console": False} if backend.hypervisor == "kvm" else {},
            tags=[INTENT_TAG_PREFIX + build.intent],
        )

    def _intent(
        self, build: _Build, backend: Backend, spec: InstanceSpec, after: Sequence[str]
    ) -> Draft:
        server = spec.name.removeprefix(self._settings.backend_prefix_id)
        return Draft(
            id=build.intent,
            backend=backend.id,
            subject=f"server:{server}",
            instance=spec.name,
            opcode="OP_INSTANCE_CREATE",
            call="create_instance",
            arguments=create_body(spec),
            after=tuple(after),
            limit_seconds=self._settings.job_limit_seconds,
        )
