"""PostgreSQL."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.settings.field import setting


@frozen(kw_only=True)
class DatabaseSettings:
    url: str = setting(
        "", "PostgreSQL URI, verify-full beyond this machine; empty: a private server at home",
        original="DATABASES",
    )  # fmt: skip
    connections_max: int = setting(8, "Connections of one process", unit="connections")
    waiting_max: int = setting(
        200,
        "Requests that may wait for a connection; more get 503",
        unit="requests",
        may_be_zero=True,
    )
    wait_limit_seconds: float = setting(5.0, "Longest wait for a connection")
    statement_limit_seconds: float = setting(10.0, "Longest run of one statement")
    transaction_limit_seconds: float = setting(
        5.0, "Longest time that a transaction which may write stays open; then it is rolled back"
    )
    transaction_idle_limit_seconds: float = setting(
        30.0, "Longest time that a transaction may wait for its process; then it is rolled back"
    )
    leader_silence_seconds: float = setting(
        10.0, "Silence of a leader (of pollers, of timers) after which another is elected"
    )
