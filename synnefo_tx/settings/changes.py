"""The stream of changes."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.settings.field import setting


@frozen(kw_only=True)
class Changes:
    keep_seconds: float = setting(
        300.0, "Time for which a stream that was cut can go on where it was"
    )
    unread_max_bytes: int = setting(
        256 * 1024, "What a client may leave unread before its stream is cut off"
    )
    streams_max: int = setting(2000, "Streams of one process; more get 503", unit="streams")
    streams_per_user_max: int = setting(
        20, "Streams of one user at one process; more get 429", unit="streams"
    )
