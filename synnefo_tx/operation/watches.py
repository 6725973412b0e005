"""How the watch of each cluster goes, whichever process has it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from attrs import frozen

from synnefo_tx.db.leaders import Leader
from synnefo_tx.ganeti.poller import ELECTION, Lag

SILENCE_SECONDS = 60.0
"""A watch that tells nothing for so long is none."""


@frozen
class Watch:
    """One cluster: seconds since it answered (None: not yet), and how it went."""

    backend: int
    failing: bool
    silent: bool
    lag_seconds: float | None
    differences: int


def watches(
    now_seconds: float, own: Mapping[int, Lag], told: Iterable[Leader], known: Collection[int]
) -> list[Watch]:
    """What this process knows itself, and of the ``known`` clusters what their leaders told."""
    found = {backend: _own(backend, lag, now_seconds) for backend, lag in own.items()}
    for leader in told:
        if not leader.name.startswith(ELECTION) or leader.told_seconds is None:
            continue
        backend = int(leader.name.removeprefix(ELECTION))
        if backend in known and backend not in found:
            found[backend] = _told(backend, leader, leader.told_seconds)
    return [found[backend] for backend in sorted(found)]


def _own(backend: int, lag: Lag, now_seconds: float) -> Watch:
    polled = None if lag.polled is None else now_seconds - lag.polled
    return Watch(backend, lag.failing, False, polled, lag.differences)


def _told(backend: int, leader: Leader, age_seconds: float) -> Watch:
    polled = leader.report.get("polled_seconds")
    return Watch(
        backend=backend,
        failing=bool(leader.report.get("failing")),
        silent=age_seconds > SILENCE_SECONDS,
        lag_seconds=None if polled is None else polled + age_seconds,
        differences=int(leader.report.get("differences", 0)),
    )
