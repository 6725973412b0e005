"""Threads of a process, by purpose."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.settings.field import setting


@frozen(kw_only=True)
class Threads:
    password_threads: int = setting(2, "Threads that hash passwords", unit="threads")
    password_waiting_max: int = setting(
        32,
        "Log-ins that may wait for such a thread; more get 503",
        unit="log-ins",
        may_be_zero=True,
    )
    block_threads: int = setting(2, "Threads that hash blocks of files", unit="threads")
    block_waiting_max: int = setting(
        64,
        "Blocks that may wait for such a thread; more get 503",
        unit="blocks",
        may_be_zero=True,
    )
    file_threads: int = setting(4, "Threads that read and write files", unit="threads")
    file_waiting_max: int = setting(
        64,
        "Calls that may wait for such a thread; more get 503",
        unit="calls",
        may_be_zero=True,
    )
    name_threads: int = setting(4, "Threads that ask for names of hosts", unit="threads")
    name_waiting_max: int = setting(
        32,
        "Names that may wait for such a thread; more get 503",
        unit="names",
        may_be_zero=True,
    )
