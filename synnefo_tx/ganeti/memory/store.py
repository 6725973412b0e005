"""The cluster's whole state, changed by atomic commits that a journal can follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from attrs import define, field

from synnefo_tx.ganeti.memory.model import (
    TABLES,
    Disk,
    Group,
    Instance,
    Job,
    Network,
    Node,
    Value,
)

Change = tuple[str, str, Value | None]
"""Table, key, and the new value, None to delete."""


@define
class Store:
    """Tables of values. ``commit`` is the only way to change one."""

    tables: dict[str, dict[str, Value]] = field(factory=lambda: {name: {} for name in TABLES})
    on_commit: list[Callable[[Sequence[Change]], None]] = field(factory=list)

    def commit(self, *changes: Change) -> None:
        """Tell the followers, then apply: what they could not record has not happened."""
        for follower in self.on_commit:
            follower(changes)
        self.apply(changes)

    def apply(self, changes: Sequence[Change]) -> None:
        """Apply changes without telling anybody, as a replay does."""
        for table, key, value in changes:
            if value is None:
                self.tables[table].pop(key, None)
            else:
                self.tables[table][key] = value

    @property
    def groups(self) -> dict[str, Group]:
        return cast(dict[str, Group], self.tables["groups"])

    @property
    def nodes(self) -> dict[str, Node]:
        return cast(dict[str, Node], self.tables["nodes"])

    @property
    def networks(self) -> dict[str, Network]:
        return cast(dict[str, Network], self.tables["networks"])

    @property
    def instances(self) -> dict[str, Instance]:
        return cast(dict[str, Instance], self.tables["instances"])

    @property
    def detached(self) -> dict[str, Disk]:
        return cast(dict[str, Disk], self.tables["detached"])

    @property
    def jobs(self) -> dict[str, Job]:
        return cast(dict[str, Job], self.tables["jobs"])
