"""The demo, commands, logs."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.settings.field import setting


@frozen(kw_only=True)
class Demo:
    enabled: bool = setting(False, "Make demo users, flavors, images and an in-memory cluster")


@frozen(kw_only=True)
class Commands:
    user: str = setting(
        "", "User that snf-manage becomes when root runs it; empty: stays root",
        original="SNF_MANAGE_USER",
    )  # fmt: skip
    group: str = setting(
        "", "Group that snf-manage gets with that; empty: the user's", original="SNF_MANAGE_GROUP"
    )
    not_logged: str = setting(
        "-list$|-show$", "Commands that match this have no audit log; empty: all have",
        original="LOGGER_EXCLUDE_COMMANDS",
    )  # fmt: skip
    wait_limit_seconds: float = setting(3600.0, "Longest time that --wait waits for a job")


@frozen(kw_only=True)
class Journal:
    months_kept: int = setting(
        24,
        "Whole months that the journal keeps beside this one; 0: all",
        unit="months",
        may_be_zero=True,
    )


@frozen(kw_only=True)
class Log:
    level: str = setting("info", "Least level written: debug, info, warn, error")
