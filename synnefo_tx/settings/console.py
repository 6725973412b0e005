"""The console of virtual machines."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.settings.field import setting


@frozen(kw_only=True)
class Console:
    host: str = setting("127.0.0.1", "Address that the console's TLS websocket listens on")
    port: int = setting(
        8443, "Port of the console; 0 takes a free one", unit="port", may_be_zero=True
    )
    public_url: str = setting("", "wss:// URL that browsers use; empty: made of host and port")
    tls_certificate: str = setting("", "PEM file of the certificate; empty: one is made")
    tls_key: str = setting("", "PEM file of the certificate's key")
    allowed_origins: tuple[str, ...] = setting((), "Further Origins that may open a console")
    ticket_seconds: int = setting(30, "Life of a console ticket")
    sessions_per_user_max: int = setting(
        8, "Live consoles of one user, in all processes", unit="consoles"
    )
    sessions_per_server_max: int = setting(
        2, "Live consoles of one server, in all processes", unit="consoles"
    )
    sessions_max: int = setting(500, "Live consoles of one process", unit="consoles")
    connect_limit_seconds: float = setting(5.0, "Longest wait for the hypervisor's screen")
    screen_ports: tuple[int, ...] = setting(
        (11000, 14999), "First and last port of the screens that may be dialled", unit="port"
    )
