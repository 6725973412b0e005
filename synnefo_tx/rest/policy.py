"""What each action asks of its caller; ownership and visibility are the stores' business.

Every endpoint names an action of this table, or it cannot be registered.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from synnefo_tx.caller import Caller
from synnefo_tx.faults import Forbidden

Rule = Callable[[Caller | None, str], bool]


def anyone(caller: Caller | None, remote: str) -> bool:
    """Open to the world."""
    return True


def authenticated(caller: Caller | None, remote: str) -> bool:
    """Any user with a valid token."""
    return caller is not None


def operator(caller: Caller | None, remote: str) -> bool:
    """Users with the role of an administrator."""
    return caller is not None and caller.is_operator


def loopback_or_operator(caller: Caller | None, remote: str) -> bool:
    """Requests of this machine, and administrators."""
    try:
        local = ip_address(remote).is_loopback
    except ValueError:
        local = False
    return local or operator(caller, remote)


RULES: dict[str, Rule] = {
    "operation:health": anyone,
    "operation:metrics": loopback_or_operator,
    "identity:versions": anyone,
    "identity:token:create": anyone,
    "identity:session:create": anyone,
    "identity:session:list": authenticated,
    "identity:session:end": authenticated,
    "account:quota:list": authenticated,
    "account:resource:list": anyone,
    "events:follow": authenticated,
    "compute:versions": anyone,
    "compute:extension:list": authenticated,
    "compute:flavor:list": authenticated,
    "compute:flavor:show": authenticated,
    "compute:image:list": authenticated,
    "compute:image:show": authenticated,
    "compute:server:list": authenticated,
    "compute:server:create": authenticated,
    "compute:server:show": authenticated,
    "compute:server:rename": authenticated,
    "compute:server:delete": authenticated,
    "compute:server:action": authenticated,
    "compute:server:metadata:show": authenticated,
    "compute:server:metadata:change": authenticated,
    "compute:server:diagnostics": authenticated,
    "network:versions": anyone,
    "network:network:list": authenticated,
    "network:network:show": authenticated,
    "network:network:create": authenticated,
    "network:network:rename": authenticated,
    "network:network:delete": authenticated,
    "network:subnet:list": authenticated,
    "network:subnet:show": authenticated,
    "network:subnet:create": authenticated,
    "network:port:list": authenticated,
    "network:port:show": authenticated,
    "ui:activity:list": authenticated,
    "vmapi:parameters:read": anyone,
}


def check(action: str, caller: Caller | None, remote: str) -> None:
    """Raise Forbidden unless the rule of ``action`` lets ``caller`` at ``remote`` act."""
    if not RULES[action](caller, remote):
        raise Forbidden("You are not allowed to do this")
