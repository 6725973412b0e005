"""Commands do not run as root when the settings name somebody else (identity reference §5, I-157).

Done before anything is opened, so that what a command makes belongs to the service's user.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Mapping
from typing import Any

from synnefo_tx.settings import SettingsError


def drop(user: str, group: str, system: Any = os) -> None:
    """Become ``user`` and ``group`` if this is root and ``user`` is set; raises SettingsError.

    Without a group it is the user's own. Further groups are the user's.
    """
    if not user or system.geteuid() != 0:
        return
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise SettingsError(f"commands.user: there is no user {user}") from None
    try:
        gid = grp.getgrnam(group).gr_gid if group else entry.pw_gid
    except KeyError:
        raise SettingsError(f"commands.group: there is no group {group}") from None
    if entry.pw_uid == 0:
        return
    system.initgroups(user, gid)
    system.setgid(gid)
    system.setuid(entry.pw_uid)
    system.environ["HOME"] = entry.pw_dir


def login_name(environ: Mapping[str, str], system: Any = os) -> str:
    """Who runs a command: who became root by sudo, else this process's user."""
    uid = system.getuid()
    behind = environ.get("SUDO_USER", "") if uid == 0 else ""
    if behind:
        return behind
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
