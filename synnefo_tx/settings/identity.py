"""Users, tokens, log-ins."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.settings.field import setting


@frozen(kw_only=True)
class Identity:
    token_hours: int = setting(720, "Life of an API token", original="ASTAKOS_AUTH_TOKEN_DURATION")
    tokens_kept_max: int = setting(
        10_000,
        "Tokens, and as many sessions, that a process remembers while it hears of every change; "
        "0: none",
        unit="tokens",
        may_be_zero=True,
    )
    login_failures_max: int = setting(
        5, "Failed log-ins of one account from one address before it must wait",
        original="ASTAKOS_RATELIMIT_RETRIES_ALLOWED", unit="log-ins")  # fmt: skip
    address_failures_max: int = setting(
        50, "Failed log-ins from one address before it must wait", unit="log-ins"
    )
    login_window_seconds: int = setting(300, "Window in which failed log-ins are counted")
    login_tokens_per_user_max: int = setting(
        1000,
        "API tokens that a user has from log-ins; one more ends the oldest",
        unit="tokens",
    )
    session_idle_seconds: int = setting(
        12 * 3600, "Time without a request after which a browser must sign in again"
    )
    session_seconds: int = setting(7 * 86400, "Longest time between two sign-ins of a browser")
    staff_idle_seconds: int = setting(3600, "session_idle_seconds of administrators and helpdesk")
    staff_session_seconds: int = setting(
        12 * 3600, "session_seconds of administrators and helpdesk"
    )
    sessions_per_user_max: int = setting(
        20,
        "Browsers in which a user is signed in; one more ends the one unused for longest",
        unit="sessions",
    )
