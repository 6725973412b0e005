"""Values of access: what a secret that is presented stands for."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from synnefo_tx.caller import Caller


@frozen
class Access:
    """What a valid token or session stands for."""

    caller: Caller
    username: str
    created: datetime
    expires: datetime
    default_project_name: str


@frozen
class Standing:
    """What a caller still is, and for how many seconds at most without being asked again."""

    caller: Caller
    life_seconds: float
