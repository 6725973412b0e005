"""What tokens and sessions stand for, kept for as long as every change of it would be heard.

An entry goes when anything of its user changes, in whatever process (see ``changes``). While that
cannot be heard nothing is kept or given.
"""

from __future__ import annotations

from collections import OrderedDict

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

from synnefo_tx.identity.access.changes import KEPT_SECONDS, AccessChanges
from synnefo_tx.identity.access.model import Access


@frozen
class _Entry:
    access: Access
    ends: float


class AccessCache:
    """Accesses by the digest of their secret; at most ``entries_max``."""

    def __init__(self, access: AccessChanges, clock: IReactorTime, entries_max: int) -> None:
        self._access = access
        self._clock = clock
        self._entries_max = entries_max
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        # A change is often told of a thousand users at once: what is theirs must not be looked for.
        self._of_user: dict[str, set[bytes]] = {}
        self.changes = 0
        access.subscribe(self._changed)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, digest: bytes) -> Access | None:
        """What the secret stands for, if that is certain."""
        entry = self._entries.get(digest)
        if entry is None or not self._access.is_hearing:
            return None
        # The clock may jump back: then an entry seems younger than it is, but not older.
        if not 0 < entry.ends - self._clock.seconds() <= KEPT_SECONDS:
            self._forget(digest)
            return None
        return entry.access

    def put(self, digest: bytes, access: Access, life_seconds: float, changes: int) -> None:
        """Keep what was read when ``changes`` had been heard; not when there were more since."""
        if changes != self.changes or not self._access.is_hearing:
            return
        ends = self._clock.seconds() + min(KEPT_SECONDS, life_seconds)
        self._forget(digest)
        self._entries[digest] = _Entry(access, ends)
        self._of_user.setdefault(access.caller.user, set()).add(digest)
        if len(self._entries) > self._entries_max:
            self._forget(next(iter(self._entries)))

    def _forget(self, digest: bytes) -> None:
        entry = self._entries.pop(digest, None)
        if entry is not None:
            user = entry.access.caller.user
            self._of_user[user].discard(digest)
            if not self._of_user[user]:
                del self._of_user[user]

    def _changed(self, user: str) -> None:
        self.changes += 1
        if not user:
            self._entries.clear()
            self._of_user.clear()
        for digest in list(self._of_user.get(user, ())):
            self._forget(digest)
