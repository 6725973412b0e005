"""The rule of charges as plain Python: what the SQL is compared with."""

from __future__ import annotations

from collections import defaultdict

WHOLE = "00000000-0000-0000-0000-000000000000"


class Charges:
    """Usage of (project, member, resource) as [min, max]; member WHOLE is the project itself."""

    def __init__(self, limits, members):
        self.limits = limits  # (project, resource) → [of the project, of each member]
        self.members = members  # (project, member) → whether accepted
        self.active = defaultdict(lambda: True)
        self.usage = defaultdict(lambda: [0, 0])
        self.pending = {}

    def limit(self, project, member, resource):
        whole, each = self.limits.get((project, resource), (None, None))
        known = member == WHOLE or (project, member) in self.members
        if whole is None or not known:
            return None
        here = self.active[project] and (member == WHOLE or self.members[project, member])
        return (whole if member == WHOLE else each) if here else 0

    def charge(self, pieces, force=False, serial=None):
        """The name of what is wrong, or None and the usage has changed."""
        total = defaultdict(int)
        for user, project, resource, quantity in pieces:
            total[user, project, resource] += quantity
        changes = defaultdict(lambda: [0, 0])
        for (user, project, resource), quantity in total.items():
            for member in (user, WHOLE) if quantity else ():
                low, high = (quantity, quantity) if serial is None else sorted([quantity, 0])
                changes[project, member, resource][0] += low
                changes[project, member, resource][1] += high
        changes = {key: change for key, change in changes.items() if change != [0, 0]}
        for key in sorted(changes, key=lambda key: (key[1] == WHOLE, key[2], key[0], key[1])):
            low, high = (
                now + more for now, more in zip(self.usage[key], changes[key], strict=True)
            )
            if self.limit(*key) is None:
                return "NoHoldingError"
            if changes[key][0] < 0 and low < 0:
                return "NoQuantityError"
            if changes[key][1] > 0 and high > self.limit(*key) and not force:
                return "NoCapacityError"
        for key, change in changes.items():
            self.usage[key] = [
                now + more for now, more in zip(self.usage[key], change, strict=True)
            ]
        if serial is not None and any(total.values()):
            self.pending[serial] = {key: quantity for key, quantity in total.items() if quantity}
        return None

    def settle(self, serial, accept):
        for (user, project, resource), quantity in self.pending.pop(serial, {}).items():
            for member in (user, WHOLE):
                which = 0 if (quantity > 0) == accept else 1
                self.usage[project, member, resource][which] += quantity if accept else -quantity
