"""Values of quota: what is charged, what is held, what is refused."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from attrs import frozen

from synnefo_tx.db.pool import Transaction

INFINITE = 2**63 - 1
QUANTITY_MAX = 2**60
PROJECT_ITSELF = "00000000-0000-0000-0000-000000000000"
"""The member of the holding that counts for a project as a whole."""


@frozen
class Provision:
    """A piece of a charge: ``quantity`` of a resource (bytes where it has that unit), negative to
    give it back; it counts for the user in the project and for the project."""

    user: str
    project: str
    resource: str
    quantity: int


@frozen(order=True)
class HoldingKey:
    """Which holding; in the order in which holdings are locked: those of projects come last."""

    of_project: bool
    resource: str
    project: str
    member: str


@frozen
class Change:
    """What is added to the two usages of a holding."""

    usage_min: int
    usage_max: int


@frozen
class Refusal:
    """A holding that cannot take a charge; ``limit`` is None where there can be no holding."""

    key: HoldingKey
    quantity: int
    limit: int | None
    usage_min: int
    usage_max: int
    unit: str | None


@frozen
class HoldingUsage:
    """A holding as it is recorded; the true usage lies between the two."""

    project: str
    member: str
    resource: str
    usage_min: int
    usage_max: int


@frozen
class ActualUsage:
    """What a member has in a project, by those who own the things."""

    user: str
    project: str
    resource: str
    quantity: int


@frozen
class Drift:
    """A holding whose record is not what exists; ``held`` is the record."""

    held: HoldingUsage
    actual: int

    @property
    def pending(self) -> bool:
        """Whether charges are open, so that the record may still come right."""
        return self.held.usage_min != self.held.usage_max


@frozen
class ListedHolding:
    """A limit and the usage against it, also where both say nothing; the member of a project's own
    is the project."""

    project: str
    member: str
    member_name: str
    of_project: bool
    resource: str
    limit: int
    usage: int


@frozen
class ProjectLimit:
    """What a project and each of its members may use of a resource, and what they do."""

    resource: str
    per_member: int
    per_project: int
    usage: int


@frozen
class Resource:
    """Something that is counted; the defaults are those for projects that begin now."""

    id: int
    name: str
    unit: str | None
    description: str
    service_type: str
    service: str
    ui_visible: bool
    api_visible: bool
    system_default: int
    project_default: int


@frozen
class ResourceChanges:
    """What an operator changes of a resource; None leaves as is."""

    system_default: int | None = None
    project_default: int | None = None
    api_visible: bool | None = None
    ui_visible: bool | None = None


class UsageSource(Protocol):
    """A component that knows what exists; implemented by those above identity."""

    @property
    def resources(self) -> Collection[str]:
        """The resources that the component counts, all of them."""
        ...

    async def actual_usage(self, tx: Transaction) -> Sequence[ActualUsage]:
        """What exists, seen in the snapshot of ``tx``; zeros may be left out."""
        ...
