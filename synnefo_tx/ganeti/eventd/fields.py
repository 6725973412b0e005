"""The fields of messages that come from an operation's input, log and result (§6.2). Pure."""

from __future__ import annotations

from typing import Any

from synnefo_tx.ganeti.model import FINAL_STATUSES, USER_REASON, Json

TEXT_MAX_CHARACTERS = 4000
TAG_OPCODES = ("OP_TAGS_SET", "OP_TAGS_DEL")
CREATE = "OP_INSTANCE_CREATE"
CHANGED_FIELDS = ("nics", "disks", "hvparams", "beparams")
SECRET_FIELDS = frozenset({"osparams_private", "osparams_secret"})


def only_instance(given: Json) -> str | None:
    """The one instance that an operation is about; None for none or several."""
    name = given.get("instance_name")
    if name is None:
        match given.get("instances"):
            case [str(only)]:
                name = only
            case [{"instance_name": str(only)}]:
                name = only
    return name if isinstance(name, str) and name else None


def wants_details(opcode: str, status: str) -> bool:
    """Whether the message also tells the instance's NICs, disks and hypervisor parameters."""
    match opcode:
        case "OP_INSTANCE_CREATE" | "OP_INSTANCE_STARTUP":
            return status == "success"
        case "OP_INSTANCE_SET_PARAMS" | "OP_INSTANCE_GROW_DISK":
            return status in FINAL_STATUSES
    return False


def tags(opcode: str, given: Json) -> list[str]:
    """The tags that a tag operation or a creation names."""
    named = given.get("tags")
    if opcode not in (*TAG_OPCODES, CREATE) or not isinstance(named, list):
        return []
    return [each for each in named if isinstance(each, str)]


def of_instance(opcode: str, status: str, given: Json) -> Json:
    """``job_fields`` of an operation on an instance.

    The whole input of a failed creation goes without the OS parameters that Ganeti calls private
    or secret: they are nobody's on the way.
    """
    if opcode == CREATE and status == "error":
        return {name: each for name, each in given.items() if name not in SECRET_FIELDS}
    if opcode in (CREATE, "OP_INSTANCE_SET_PARAMS"):
        return {name: given.get(name) for name in CHANGED_FIELDS}
    if opcode == "OP_INSTANCE_SNAPSHOT":
        return {"disks": _snapshot_disks(given)}
    return {}


def _snapshot_disks(given: Json) -> Any:
    """The disks, the caller's reason on the first: it names the snapshot."""
    disks, trail = given.get("disks"), given.get("reason")
    texts = [
        entry[1]
        for entry in (trail if isinstance(trail, list) else [])
        if isinstance(entry, list) and len(entry) > 1 and entry[0] == USER_REASON
    ]
    match disks:
        case [[identifier, dict(parameters)], *others] if texts:
            return [[identifier, {**parameters, "snapshot_info": texts[0]}], *others]
    return disks


def of_network(given: Json) -> Json:
    """``job_fields`` of an operation on a network."""
    return {
        "subnet": given.get("network"),
        "gateway": given.get("gateway"),
        "add_reserved_ips": given.get("add_reserved_ips"),
        "remove_reserved_ips": given.get("remove_reserved_ips"),
        "group_name": given.get("group_name"),
    }


def last_log(log: list[Any]) -> str | None:
    """The text of the last log entry; None if there is none."""
    match log[-1:]:
        case [[_, _, _, str(text), *_]]:
            return text[:TEXT_MAX_CHARACTERS]
    return None


def error(status: str, result: Any) -> str | None:
    """Why an operation failed; None where it did not.

    Ganeti encodes an error as ``[class, [text, code?]]``, or as a bare text where a job died or
    was canceled.
    """
    if status not in ("error", "canceled"):
        return None
    match result:
        case str(text) if text:
            return text[:TEXT_MAX_CHARACTERS]
        case [_, [str(text), *_]] if text:
            return text[:TEXT_MAX_CHARACTERS]
    return "the job was canceled" if status == "canceled" else "the job failed without a reason"
