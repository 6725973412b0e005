"""Rare branches that a campaign must have come to: else it shows less than it seems to.

A probe is a kind of log line (its format) that production code writes on the branch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

PROBES = {
    "a reply outlasts its caller": "a submission takes long; the sweep will settle it",
    "a submission without an answer": (
        "cluster {backend} did not answer for intent {intent}: {error}"
    ),
    "an intent found by its reason": "intent {intent} is job {job}: found by its reason",
    "an intent on no look": "intent {intent} is on no list of jobs yet",
    "a COMMIT without an answer": "commit of {transaction} has no answer",
    "news that come too late": "news of server {id} ignored: {why}",
    "messages that wait for the database": "messages wait for the database: {error}",
    "a broker that is away": "{name}: no broker for {wait:.1f} s: {why}",
    "a cluster that fails a look": "cluster {backend}: {error}",
}
FIRED: Counter[str] = Counter()


def count(kinds: Mapping[str, int]) -> None:
    """Count the log lines of a run."""
    for name, kind in PROBES.items():
        if kinds.get(kind):
            FIRED[name] += 1


def silent() -> list[str]:
    """Probes that never fired in this process."""
    return [name for name in PROBES if not FIRED[name]]
