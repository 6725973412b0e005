"""Keys of stored secrets."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.settings.field import setting


@frozen(kw_only=True)
class KeyringSettings:
    file: str = setting(
        "",
        "File of keys that configuration management writes, lines name:version:base64, the first "
        "of a name seals; empty: keys/ at home",
    )
    keys: tuple[str, ...] = setting((), "The lines of such a file themselves", secret=True)
