"""The HTTP API."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.settings.field import setting


@frozen(kw_only=True)
class Http:
    host: str = setting("127.0.0.1", "Address that the HTTP API listens on")
    port: int = setting(
        8080, "Port of the HTTP API; 0 takes a free one", unit="port", may_be_zero=True
    )
    base_url: str = setting(
        "", "URL under which clients reach the site; empty: made of host and port",
        original="CYCLADES_BASE_URL, ASTAKOS_BASE_URL",
    )  # fmt: skip
    tls_certificate: str = setting("", "PEM file of the certificate chain; empty: plain HTTP")
    tls_key: str = setting("", "PEM file of the certificate's key")
    trusted_proxies: tuple[str, ...] = setting(
        (), "Addresses of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed"
    )
    body_max_bytes: int = setting(1024 * 1024, "Largest JSON body that is read")
    workers: int = setting(
        1, "Processes that serve the API; --workers has precedence", unit="processes"
    )
    drain_limit_seconds: float = setting(
        10.0,
        "Time that running requests are given when a process stops",
        may_be_zero=True,
    )
    requests_max: int = setting(
        200,
        "Requests that a process serves at once; more get 503 with Retry-After",
        unit="requests",
    )
    idempotency_hours: int = setting(
        24, "Time that the reply to a request with an Idempotency-Key is given again"
    )
