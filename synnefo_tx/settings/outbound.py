"""Requests to addresses that users give."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.settings.field import setting


@frozen(kw_only=True)
class Outbound:
    ports: tuple[int, ...] = setting((80, 443), "Ports that URLs of users may name", unit="port")
    hosts: tuple[str, ...] = setting(
        (), "Hosts that may be asked, .example.org with all below; empty: every public one"
    )
    networks: tuple[str, ...] = setting(
        (), "Networks that may be asked though they are not public, as 10.1.0.0/16"
    )
    denied_networks: tuple[str, ...] = setting(
        (), "Networks that may not be asked though they are public, such as our own"
    )
    connect_limit_seconds: float = setting(5.0, "Longest wait for one address to connect")
    total_limit_seconds: float = setting(30.0, "Longest time of a request with its answer")
    headers_max_bytes: int = setting(16 * 1024, "Largest headers of an answer, about")
    body_max_bytes: int = setting(1024 * 1024, "Largest body of an answer")
    requests_max: int = setting(16, "Requests at once", unit="requests")
    waiting_max: int = setting(
        64, "Requests that may wait; more get 503", unit="requests", may_be_zero=True
    )
