"""Pure checks of requests for servers and of actions on them (compute-api reference §2)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from synnefo_tx.compute.flavors.model import Flavor
from synnefo_tx.compute.images.model import Image
from synnefo_tx.compute.networks.rules import check_name
from synnefo_tx.compute.ports.model import WantedPort
from synnefo_tx.compute.servers.model import PersonalityFile, Server
from synnefo_tx.faults import BadRequest, BuildInProgress, Forbidden, RequestEntityTooLarge
from synnefo_tx.settings import Compute
from synnefo_tx.units import gib_to_bytes

NAME_MAX = 255
METADATA_KEY_MAX = 50
METADATA_VALUE_MAX = 500
PASSWORD_MIN = 10
PASSWORD_MAX = 128
PATH_MAX = 255
ACCOUNT_MAX = 32  # useradd(8): user and group names
PERSONALITY_KEYS = frozenset({"path", "contents", "owner", "group", "mode"})

RUNNABLE = {"start": "STOPPED", "shutdown": "STARTED", "resize": "STOPPED"}


def check_server_name(name: str) -> str:
    """A name of 1 to 255 characters."""
    if not name:
        raise BadRequest("server.name must not be empty")
    return check_name(name, NAME_MAX)


def reference(value: Any, field: str) -> str:
    """An id given as a string or number, or as the last part of a link."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRequest(f"{field} must be a string or an integer")
    return str(value).rstrip("/").rsplit("/", 1)[-1]


def integer_reference(value: Any, field: str) -> int:
    """As ``reference``, for ids that are numbers."""
    text = reference(value, field)
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadRequest(f"{field} must be an integer")
    return int(text)


def check_metadata(values: Mapping[str, Any], settings: Compute) -> dict[str, str]:
    """Metadata of a server: few, short, all strings."""
    if len(values) > settings.server_metadata_max:
        raise BadRequest(f"A server has at most {settings.server_metadata_max} metadata items")
    for key, value in values.items():
        if not isinstance(value, str):
            raise BadRequest(f"metadata {key[:METADATA_KEY_MAX]!r} must be a string")
        if not 0 < len(key) <= METADATA_KEY_MAX or "\x00" in key:
            raise BadRequest(f"metadata keys must have 1 to {METADATA_KEY_MAX} characters")
        if len(value) > METADATA_VALUE_MAX or "\x00" in value:
            raise BadRequest(f"metadata values must have at most {METADATA_VALUE_MAX} characters")
    return dict(values)


def check_networks(values: Any, settings: Compute) -> tuple[WantedPort, ...] | None:
    """The field ``networks``: absent, or a list of ``{"uuid": id, "fixed_ip": address}``."""
    if values is None:
        return None
    if not isinstance(values, list):
        raise BadRequest("server.networks must be a list")
    if len(values) > settings.nics_per_instance_max:
        raise BadRequest(f"A server has at most {settings.nics_per_instance_max} ports")
    wanted = []
    for each in values:
        if not isinstance(each, dict) or "uuid" not in each:
            raise BadRequest("each of server.networks must be an object with the key uuid")
        fixed_ip = each.get("fixed_ip")
        if fixed_ip is not None and not isinstance(fixed_ip, str):
            raise BadRequest("server.networks.fixed_ip must be a string")
        network = integer_reference(each["uuid"], "server.networks.uuid")
        wanted.append(WantedPort(network, fixed_ip))
    return tuple(wanted)


def check_personality(values: Any, settings: Compute) -> tuple[PersonalityFile, ...]:
    """The field ``personality``: files with base64 contents."""
    if not isinstance(values, list):
        raise BadRequest("server.personality must be a list")
    if len(values) > settings.personality_max:
        raise RequestEntityTooLarge(f"At most {settings.personality_max} files can be injected")
    return tuple(_personality_file(each, settings) for each in values)


def _personality_file(value: Any, settings: Compute) -> PersonalityFile:
    if not isinstance(value, dict) or not set(value) <= PERSONALITY_KEYS:
        raise BadRequest(f"a personality file has the keys {', '.join(sorted(PERSONALITY_KEYS))}")
    for key in ("path", "contents"):
        if not isinstance(value.get(key), str) or not value[key]:
            raise BadRequest(f"personality.{key} must be a string")
    if len(value["path"]) > PATH_MAX or "\x00" in value["path"]:
        raise BadRequest(f"personality.path must have at most {PATH_MAX} characters")
    if len(value["contents"]) > settings.personality_max_bytes:
        raise RequestEntityTooLarge("personality.contents is too large")
    try:
        base64.b64decode(value["contents"], validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest("personality.contents must be base64") from None
    mode = value.get("mode", 0o440)
    if type(mode) is not int or not 0 <= mode <= 0o7777:
        raise BadRequest("personality.mode must be an integer")
    for key in ("owner", "group"):
        name = value.get(key, "root")
        if not isinstance(name, str):
            raise BadRequest(f"personality.{key} must be a string")
        check_name(name, ACCOUNT_MAX)
    return PersonalityFile(
        value["path"],
        value["contents"],
        value.get("owner", "root"),
        value.get("group", "root"),
        mode,
    )


def check_password(password: str | None) -> str | None:
    """An administrator password that was given; None asks for a random one."""
    if not password:
        return None
    kinds = (str.isupper, str.islower, str.isdigit)
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX or not all(
        any(kind(character) for character in password) for kind in kinds
    ):
        raise BadRequest(
            f"adminPass must have {PASSWORD_MIN} to {PASSWORD_MAX} characters, with upper-case "
            "and lower-case letters and digits"
        )
    return password


def check_image(image: Image, flavor: Flavor, settings: Compute) -> None:
    """The image must be ready and fit on the root volume."""
    if image.status != "AVAILABLE":
        raise BadRequest("The image is not available")
    if image.size_bytes > gib_to_bytes(flavor.disk_gib):
        raise BadRequest("The image is larger than the flavor's disk")
    if flavor.disk_gib > settings.volume_max_gib:
        raise BadRequest(f"The flavor's disk is larger than {settings.volume_max_gib} GiB")


def check_flavor(flavor: Flavor) -> None:
    """The flavor must be open to new servers."""
    if not flavor.allow_create:
        raise Forbidden(f"Flavor {flavor.name} can not be used for new servers")


def check_live(server: Server, by_operator: bool = False) -> None:
    """Deleted servers take no change, suspended ones none from their owners."""
    if server.deleted:
        raise BadRequest("Server has been deleted.")
    if server.suspended and not by_operator:
        raise Forbidden("Administratively suspended VM")


def check_action(server: Server, action: str, by_operator: bool = False) -> None:
    """The gates before an action, in the original's order (compute-api reference §2.3)."""
    check_live(server, by_operator)
    if server.task == "BUILD":
        raise BuildInProgress("The server is being built.")
    if server.task:
        raise BadRequest(f"The server is busy: {server.task.lower()} is pending")
    if server.operstate == "ERROR":
        raise BadRequest("The server is in error: it can only be deleted")
    if server.operstate == "BUILD":
        raise BuildInProgress("The server is being built.")
    needed = RUNNABLE.get(action)
    if needed is not None and server.operstate != needed:
        raise BadRequest(f"Can not {action} a server that is {server.operstate.lower()}")


def check_suspension(server: Server, wanted: bool) -> None:
    """A server in any state is suspended, or released again (ganeti-backend reference §5.3)."""
    if server.deleted:
        raise BadRequest("Server has been deleted.")
    if server.suspended == wanted:
        raise BadRequest(f"The server is {'' if wanted else 'not '}suspended")


def check_resize(current: Flavor, wanted: Flavor) -> None:
    """Another CPU or RAM, the same disk."""
    if current.id == wanted.id:
        raise BadRequest("The server has this flavor already")
    if current.disk_gib != wanted.disk_gib:
        raise BadRequest("Can not resize the disk: choose a flavor with the same disk")
    if current.volume_type.id != wanted.volume_type.id:
        raise BadRequest("Can not change the volume type: choose a flavor with the same one")
