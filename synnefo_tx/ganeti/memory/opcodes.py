"""The opcodes that RAPI submits: their parameters and what is checked before submission.

Parameter names, checks and defaults: ``ganeti/opcodes.py`` of Ganeti 3.0, as far as simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

Json = dict[str, Any]
Check = Callable[[Any], bool]

JOB_STATUSES = ("success", "error", "canceled")
DISK_TEMPLATES = ("diskless", "file", "sharedfile", "plain", "drbd", "rbd", "ext", "gluster")
HYPERVISORS = ("xen-pvm", "xen-hvm", "fake", "kvm", "chroot", "lxc")
NIC_KEYS = frozenset({"name", "network", "ip", "mac", "mode", "link", "vlan", "bridge"})
NIC_MODES = ("bridged", "routed", "openvswitch")
REQUIRED: Any = object()


class Malformed(Exception):
    """A body that RAPI refuses with 400 and this text."""


def _text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _optional_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(_text(item) for item in value)


def _optional_texts(value: Any) -> bool:
    return value is None or _texts(value)


def _objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _nics(value: Any) -> bool:
    return _objects(value) and all(set(nic) <= NIC_KEYS for nic in value)


def _cidr(value: Any) -> bool:
    if not isinstance(value, str) or value.count("/") != 1:
        return False
    address, _, bits = value.partition("/")
    octets = address.split(".")
    return (
        len(octets) == 4
        and all(octet.isdigit() and int(octet) < 256 for octet in octets)
        and bits.isdigit()
        and int(bits) <= 32
    )


def _one_of(*allowed: str) -> Check:
    return lambda value: isinstance(value, str) and value in allowed


def _depends(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, list) and all(
        isinstance(entry, list)
        and len(entry) == 2
        and type(entry[0]) is int
        and isinstance(entry[1], list)
        and all(status in JOB_STATUSES for status in entry[1])
        for entry in value
    )


def _modifications(actions: tuple[str, ...], keys: frozenset[str] | None) -> Check:
    """A list of ``[action, params]`` or ``[action, identifier, params]``."""

    def check(value: Any) -> bool:
        return isinstance(value, list) and all(
            isinstance(entry, list)
            and len(entry) in (2, 3)
            and entry[0] in actions
            and isinstance(entry[-1], dict)
            and (keys is None or set(entry[-1]) <= keys)
            for entry in value
        )

    return check


Params = Mapping[str, tuple[Check, Any]]

_COMMON: Params = {
    "dry_run": (_flag, False),
    "debug_level": (_count, 0),
    "priority": (lambda value: type(value) is int, 0),
    "depends": (_depends, None),
    "comment": (_optional_text, None),
}


@frozen
class Opcode:
    """An opcode's name, its parameters (check, default), and the one shown in the summary."""

    id: str
    params: Params
    shown: str | None = None

    @property
    def class_name(self) -> str:
        """Ganeti's name of its class: ``OpInstanceCreate``."""
        return "Op" + "".join(part.title() for part in self.id.split("_")[1:])

    def summary(self, op: Mapping[str, Any]) -> str:
        """``INSTANCE_CREATE(snf-1)``."""
        name = self.id.removeprefix("OP_")
        return f"{name}({op[self.shown]})" if self.shown else name

    def build(self, values: Mapping[str, Any]) -> Json:
        """The opcode's input with defaults filled in. Raises Malformed."""
        params = {**_COMMON, **self.params}
        unknown = [name for name in values if name not in params]
        if unknown:
            text = f"Object {self.class_name} doesn't support the parameter '{unknown[0]}'"
            raise Malformed(f"Invalid body parameters: {text}")
        op: Json = {"OP_ID": self.id}
        for name, (check, default) in params.items():
            value = values.get(name, default)
            if value is REQUIRED or (name in values and not check(value)):
                text = f"Parameter '{self.id}.{name}' fails validation"
                raise Malformed(f"Invalid body parameters: (\"{text}\", 'wrong_input')")
            op[name] = value
        return op


_INSTANCE: Params = {"instance_name": (_text, REQUIRED)}
_NETWORK: Params = {"network_name": (_text, REQUIRED)}
_TAGS: Params = {
    "kind": (_one_of("instance"), "instance"),
    "tags": (_texts, REQUIRED),
    "name": (_text, REQUIRED),
}

INSTANCE_CREATE = Opcode(
    "OP_INSTANCE_CREATE",
    {
        **_INSTANCE,
        "mode": (_one_of("create"), REQUIRED),
        "os_type": (_optional_text, None),
        "hypervisor": (_one_of(*HYPERVISORS), None),
        "disk_template": (_one_of(*DISK_TEMPLATES), None),
        "disks": (_objects, REQUIRED),
        "nics": (_nics, REQUIRED),
        "beparams": (_object, {}),
        "hvparams": (_object, {}),
        "osparams": (_object, {}),
        "pnode": (_optional_text, None),
        "tags": (_texts, []),
        "start": (_flag, True),
        "wait_for_sync": (_flag, True),
        "ip_check": (_flag, True),
        "name_check": (_flag, True),
        "conflicts_check": (_flag, True),
        "opportunistic_locking": (_flag, False),
        "file_driver": (_optional_text, None),
        "iallocator": (_optional_text, None),
    },
    "instance_name",
)
INSTANCE_REMOVE = Opcode(
    "OP_INSTANCE_REMOVE",
    {**_INSTANCE, "shutdown_timeout": (_count, 120), "ignore_failures": (_flag, False)},
    "instance_name",
)
INSTANCE_STARTUP = Opcode(
    "OP_INSTANCE_STARTUP",
    {**_INSTANCE, "force": (_flag, False), "no_remember": (_flag, False)},
    "instance_name",
)
INSTANCE_SHUTDOWN = Opcode(
    "OP_INSTANCE_SHUTDOWN",
    {
        **_INSTANCE,
        "force": (_flag, False),
        "timeout": (_count, 120),
        "no_remember": (_flag, False),
    },
    "instance_name",
)
INSTANCE_REBOOT = Opcode(
    "OP_INSTANCE_REBOOT",
    {
        **_INSTANCE,
        "reboot_type": (_one_of("soft", "hard", "full"), "hard"),
        "shutdown_timeout": (_count, 120),
        "ignore_secondaries": (_flag, False),
    },
    "instance_name",
)
INSTANCE_REINSTALL = Opcode(
    "OP_INSTANCE_REINSTALL",
    {**_INSTANCE, "os_type": (_optional_text, None), "osparams": (_object, {})},
    "instance_name",
)
INSTANCE_GROW_DISK = Opcode(
    "OP_INSTANCE_GROW_DISK",
    {
        **_INSTANCE,
        "disk": (_count, REQUIRED),
        "amount": (_count, REQUIRED),
        "absolute": (_flag, False),
        "wait_for_sync": (_flag, True),
    },
    "instance_name",
)
INSTANCE_SET_PARAMS = Opcode(
    "OP_INSTANCE_SET_PARAMS",
    {
        **_INSTANCE,
        "nics": (_modifications(("add", "remove", "modify"), NIC_KEYS), []),
        "disks": (_modifications(("add", "remove", "modify", "detach", "attach"), None), []),
        "beparams": (_object, {}),
        "hvparams": (_object, {}),
        "osparams": (_object, {}),
        "os_name": (_optional_text, None),
        "offline": (lambda value: value is None or _flag(value), None),
        "wait_for_sync": (_flag, True),
        "conflicts_check": (_flag, True),
        "hotplug": (_flag, False),
        "hotplug_if_possible": (_flag, False),
        "force": (_flag, False),
    },
    "instance_name",
)
TAGS_SET = Opcode("OP_TAGS_SET", _TAGS)
TAGS_DEL = Opcode("OP_TAGS_DEL", _TAGS)
NETWORK_ADD = Opcode(
    "OP_NETWORK_ADD",
    {
        **_NETWORK,
        "network": (_cidr, REQUIRED),
        "gateway": (_optional_text, None),
        "network6": (_optional_text, None),
        "gateway6": (_optional_text, None),
        "mac_prefix": (_optional_text, None),
        "add_reserved_ips": (_optional_texts, None),
        "conflicts_check": (_flag, True),
        "tags": (_texts, []),
    },
    "network_name",
)
NETWORK_CONNECT = Opcode(
    "OP_NETWORK_CONNECT",
    {
        **_NETWORK,
        "group_name": (_text, REQUIRED),
        "network_mode": (_one_of(*NIC_MODES), None),
        "network_link": (_optional_text, None),
        "network_vlan": (_optional_text, ""),
        "conflicts_check": (_flag, True),
    },
    "network_name",
)
NETWORK_DISCONNECT = Opcode(
    "OP_NETWORK_DISCONNECT", {**_NETWORK, "group_name": (_text, REQUIRED)}, "network_name"
)
NETWORK_REMOVE = Opcode("OP_NETWORK_REMOVE", {**_NETWORK, "force": (_flag, False)}, "network_name")
