"""What a demo cloud holds: a cluster in memory, sizes, an image, networks, two users.

Filled at every start; what is there is kept. ``demo.json`` is for people and scripts; when it is
gone, new credentials are made for the same users.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from synnefo_tx.application import Application
from synnefo_tx.caller import OPERATOR, Caller
from synnefo_tx.faults import ItemNotFound
from synnefo_tx.ganeti.backends.operations import Registration
from synnefo_tx.ganeti.model import RapiFailure
from synnefo_tx.identity.secret import new_password
from synnefo_tx.identity.users.model import UserChanges

ADMIN_EMAIL = "admin@demo.synnefo.example"
USER_EMAIL = "user@demo.synnefo.example"
IMAGE_ID = "5d1c1f3a-7c1e-4f0e-9d5e-6b1f4d0a2c11"
CLUSTER_WAIT_SECONDS = 30.0
SIZES = ([1, 2, 4], [512, 1024, 2048], [5, 20])
PUBLIC_CIDR = "203.0.113.0/24"
PRIVATE_CIDR = "192.168.10.0/24"


async def fill(app: Application, clock: IReactorTime) -> None:
    """Make what is missing, then write ``demo.json`` unless it is there."""
    await _cluster(app, clock)
    await _flavors(app)
    await _image(app)
    await _public_network(app)
    users = {}
    for role, email, name in (("admin", ADMIN_EMAIL, "Ada"), ("user", USER_EMAIL, "Uma")):
        users[role] = await _user(app, email, name, is_admin=role == "admin")
    network = await _private_network(app, users["user"])
    path = app.settings.home / "demo.json"
    if not path.exists():
        _write(path, await _document(app, users, network))


async def _cluster(app: Application, clock: IReactorTime) -> None:
    path = app.settings.home / "ganeti" / "rapi.json"
    deadline = clock.seconds() + CLUSTER_WAIT_SECONDS
    while not path.exists():
        if clock.seconds() > deadline:
            raise TimeoutError(f"the demo's cluster did not start: {path} is missing")
        await deferLater(clock, 0.1)
    rapi = json.loads(path.read_text())
    address = {
        "host": rapi["host"],
        "port": rapi["port"],
        "username": rapi["username"],
        "fingerprint": rapi["fingerprint"],
    }
    backends = app.ganeti.backends
    known = {each.clustername: each.id for each in await backends.list()}
    name = rapi["name"]
    if name in known:
        await backends.modify(known[name], {**address, "password": rapi["password"]})
    else:
        wanted = Registration(clustername=name, password=rapi["password"], **address)
        known[name] = await backends.add(wanted)
        await backends.modify(known[name], {"drained": False})
    while True:
        try:
            return await backends.refresh(known[name])
        except RapiFailure:
            if clock.seconds() > deadline:
                raise
            await deferLater(clock, 0.2)


async def _flavors(app: Application) -> None:
    flavors = app.compute.flavors
    types = {each.name: each.id for each in await flavors.types()}
    if "file" not in types:
        types["file"] = await flavors.create_type("file", "file")
    await flavors.create(*SIZES, [types["file"]])


async def _image(app: Application) -> None:
    try:
        await app.compute.images.find(IMAGE_ID, "")
    except ItemNotFound:
        await app.compute.images.register(
            IMAGE_ID,
            "Debian Base",
            "system",
            "pithosmap://demo-debian-base/2147483648",
            {"osfamily": "linux", "root_partition": "1", "os": "debian", "users": "root"},
            size_bytes=2 * 1024**3,
        )


async def _public_network(app: Application) -> None:
    networks = await app.compute.networks.listing(OPERATOR)
    if not any(each.public for each in networks):
        made = await app.compute.networks.create_public(
            OPERATOR, "Public", "CUSTOM", None, floating_ip_pool=True
        )
        await app.compute.networks.add_subnet(OPERATOR, made.id, PUBLIC_CIDR)


async def _user(app: Application, email: str, name: str, *, is_admin: bool) -> str:
    """The user's uuid."""
    try:
        return (await app.identity.users.get(email)).uuid
    except ItemNotFound:
        created = await app.identity.users.add(
            email, name, "Demo", is_admin=is_admin, accepted=True
        )
        return created.uuid


async def _private_network(app: Application, user: str) -> int:
    caller = Caller(user=user, projects=(user,), default_project=user)
    own = [
        each
        for each in await app.compute.networks.listing(caller)
        if each.userid == user and not each.destroying
    ]
    if own:
        return own[0].id
    made = await app.compute.networks.create_private(caller, "My network", "MAC_FILTERED", None)
    await app.compute.networks.add_subnet(caller, made.id, PRIVATE_CIDR)
    return made.id


async def _document(app: Application, users: dict[str, str], network: int) -> dict[str, Any]:
    document: dict[str, Any] = {
        "url": app.settings.site_url,
        "console_url": app.settings.console_url,
    }
    for role, user in users.items():
        document[role] = await _credentials(app, user)
    smallest = (await app.compute.flavors.listing())[0]
    return document | {
        "flavor_id": smallest.id,
        "image_id": IMAGE_ID,
        "network_id": str(network),
    }


async def _credentials(app: Application, user: str) -> dict[str, str]:
    password = new_password(os.urandom)
    changed = await app.identity.users.modify(user, UserChanges(password=password))
    async with app.database.transaction("demo-token") as tx:
        token = await app.identity.tokens.issue(tx, user, "demo")
    return {
        "email": changed.user.email,
        "password": password,
        "token": token.secret,
        "uuid": user,
    }


def _write(path: Path, document: dict[str, Any]) -> None:
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(document, stream, indent=2)
        stream.write("\n")
    unfinished.rename(path)
