"""How often who may ask."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.settings.field import setting

MINUTE = "requests a minute"


@frozen(kw_only=True)
class Rates:
    read_per_minute: int = setting(
        6000,
        "Requests that read, of one token; 0: no limit",
        unit=MINUTE,
        may_be_zero=True,
    )
    read_burst: int = setting(1200, "Such requests at once", unit="requests")
    write_per_minute: int = setting(
        1200,
        "Requests that change something, of one token; 0: no limit",
        unit=MINUTE,
        may_be_zero=True,
    )
    write_burst: int = setting(400, "Such requests at once", unit="requests")
    create_per_minute: int = setting(
        300,
        "Requests for something new that costs quota, of one token; 0: no limit",
        unit=MINUTE,
        may_be_zero=True,
    )
    create_burst: int = setting(200, "Such requests at once", unit="requests")
    login_per_minute: int = setting(
        60,
        "Requests that show or make tokens, of one address; 0: no limit",
        unit=MINUTE,
        may_be_zero=True,
    )
    login_burst: int = setting(120, "Such requests at once", unit="requests")
    user_factor: float = setting(
        2.0, "What a user may do with all tokens, in what one token may", unit="times"
    )
    address_factor: float = setting(
        4.0, "What may come from one address, in what one token may", unit="times"
    )
    remembered_max: int = setting(
        100_000, "Tokens, users and addresses that a process remembers", unit="entries"
    )
