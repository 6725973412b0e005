"""Users, tokens, log-ins."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.settings.field import setting


@frozen(kw_only=True)
class Identity:
    token_hours: int = setting(720, "Life of an API token", original="ASTAKOS_AUTH_TOKEN_DURATION")
    tokens_kept_max: int = setting(
        10_000,
        "Tokens that a process remembers while it hears of every change; 0: none",
        unit="tokens",
    )
    login_failures_max: int = setting(
        5, "Failed log-ins of one account from one address before it must wait",
        original="ASTAKOS_RATELIMIT_RETRIES_ALLOWED", unit="log-ins")  # fmt: skip
    address_failures_max: int = setting(
        50, "Failed log-ins from one address before it must wait", unit="log-ins"
    )
    login_window_seconds: int = setting(300, "Window in which failed log-ins are counted")
    hashing_threads: int = setting(2, "Threads that hash passwords", unit="threads")
    hashing_waiting_max: int = setting(
        32, "Log-ins that may wait for a hashing thread", unit="log-ins"
    )
