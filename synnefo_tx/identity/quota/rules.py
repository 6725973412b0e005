"""Which holdings a charge changes, and what is said when one cannot take it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from synnefo_tx.faults import BadRequest, Fault, ItemNotFound, OverLimit
from synnefo_tx.identity.model import is_uuid
from synnefo_tx.identity.quota.model import (
    PROJECT_ITSELF,
    QUANTITY_MAX,
    Change,
    HoldingKey,
    Provision,
    Refusal,
)
from synnefo_tx.units import GIB, KIB, MIB


def summed(provisions: Iterable[Provision]) -> list[Provision]:
    """One provision per user, project and resource; those that come to nothing are left out.

    Raises BadRequest for a quantity beyond QUANTITY_MAX, ItemNotFound for what is no uuid.
    """
    totals: Counter[tuple[str, str, str]] = Counter()
    for each in provisions:
        if not (is_uuid(each.user) and is_uuid(each.project)):
            key = HoldingKey(False, each.resource, each.project, each.user)
            raise refused(Refusal(key, each.quantity, None, 0, 0, None))
        totals[each.user, each.project, each.resource] += each.quantity
    if any(abs(quantity) > QUANTITY_MAX for quantity in totals.values()):
        raise BadRequest(f"A quantity may not be larger than {QUANTITY_MAX}")
    return [Provision(*key, quantity) for key, quantity in totals.items() if quantity]


def immediate(provisions: Iterable[Provision]) -> dict[HoldingKey, Change]:
    """The changes of a charge that holds at once; a project's own row gets the sum."""
    totals: Counter[HoldingKey] = Counter()
    for each in summed(provisions):
        for key in _keys(each):
            totals[key] += each.quantity
    return {key: Change(sum_, sum_) for key, sum_ in sorted(totals.items()) if sum_}


def first_half(provisions: Iterable[Provision]) -> dict[HoldingKey, Change]:
    """The changes of a charge that is to be settled (identity reference §1.2).

    An import raises usage_max, a release lowers usage_min; settling moves the other one, or takes
    the first back.
    """
    changes: dict[HoldingKey, Change] = {}
    for each in summed(provisions):
        for key in _keys(each):
            before = changes.get(key, Change(0, 0))
            changes[key] = Change(
                before.usage_min + min(each.quantity, 0), before.usage_max + max(each.quantity, 0)
            )
    return dict(sorted(changes.items()))


def _keys(provision: Provision) -> list[HoldingKey]:
    resource, project = provision.resource, provision.project
    return [
        HoldingKey(False, resource, project, provision.user),
        HoldingKey(True, resource, project, PROJECT_ITSELF),
    ]


def refused(refusal: Refusal) -> Fault:
    """The fault for a holding that cannot take a charge (identity reference §1.2)."""
    data: dict[str, Any] = {"provision": _provision(refusal)}
    if refusal.limit is None:
        data["name"] = "NoHoldingError"
        return ItemNotFound(
            f"There is no {refusal.key.resource} for {_who(refusal)}: "
            "the resource is unknown, or the user is no member of the project",
            data=data,
        )
    if refusal.quantity < 0:
        data |= {"name": "NoQuantityError", "limit": 0, "usage": refusal.usage_min}
    else:
        data |= {"name": "NoCapacityError", "limit": refusal.limit, "usage": refusal.usage_max}
    return OverLimit(_over(refusal), data=data)


def _provision(refusal: Refusal) -> Mapping[str, Any]:
    project, member = f"project:{refusal.key.project}", f"user:{refusal.key.member}"
    return {
        "holder": project if refusal.key.of_project else member,
        "source": None if refusal.key.of_project else project,
        "resource": refusal.key.resource,
        "quantity": refusal.quantity,
    }


def _who(refusal: Refusal) -> str:
    if refusal.key.of_project:
        return f"project {refusal.key.project}"
    return f"user {refusal.key.member} in project {refusal.key.project}"


def _over(refusal: Refusal) -> str:
    resource, unit = refusal.key.resource, refusal.unit
    if refusal.quantity < 0:
        return (
            f"Cannot give back {amount(-refusal.quantity, unit)} of {resource} for "
            f"{_who(refusal)}: only {amount(refusal.usage_min, unit)} are in use"
        )
    limit = refusal.limit or 0
    over = refusal.usage_max + refusal.quantity - limit
    return (
        f"Limit of {resource} for {_who(refusal)} exceeded by {amount(over, unit)}: "
        f"{amount(refusal.quantity, unit)} asked for, {amount(refusal.usage_max, unit)} of "
        f"{amount(limit, unit)} in use"
    )


def amount(quantity: int, unit: str | None) -> str:
    """A quantity as people read it; bytes in the largest unit that keeps them exact."""
    if unit != "bytes":
        return str(quantity)
    for size, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if quantity and quantity % size == 0:
            return f"{quantity // size} {name}"
    return f"{quantity} bytes"
