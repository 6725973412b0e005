"""The services of the site, as clients look them up."""

from __future__ import annotations

from attrs import frozen


@frozen
class Service:
    """A service and where it is below the site's URL.

    ``openstack_path`` is where OpenStack's clients look for it, if not at ``path``; it is "" for a
    service that they do not know.
    """

    name: str
    type: str
    path: str
    version: str
    openstack_path: str | None = None


SERVICES = (
    Service("astakos_account", "account", "/account/v1.0", "v1.0", openstack_path=""),
    Service("astakos_identity", "identity", "/identity/v2.0", "v2.0", openstack_path="/identity"),
    Service("cyclades_compute", "compute", "/compute/v2.0", "v2.0"),
    Service("cyclades_network", "network", "/network/v2.0", "v2.0", openstack_path="/network"),
    Service("cyclades_vmapi", "vmapi", "/vmapi/v1.0", "v1.0", openstack_path=""),
)
"""What is served, in the order of the catalogue."""


@frozen
class Catalog:
    """The services below one site's URL (without a final slash)."""

    site_url: str
    services: tuple[Service, ...] = SERVICES
