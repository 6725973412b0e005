"""Servers, networks, images."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.settings.field import setting


@frozen(kw_only=True)
class Compute:
    backend_prefix_id: str = setting(
        "snf-", "Prefix of every name on a Ganeti cluster; holds a dash",
        original="BACKEND_PREFIX_ID",
    )  # fmt: skip
    forced_server_networks: tuple[str, ...] = setting(
        ("SNF:ANY_PUBLIC_IPV4",), "Networks that every new server gets",
        original="CYCLADES_FORCED_SERVER_NETWORKS",
    )  # fmt: skip
    server_metadata_max: int = setting(
        10,
        "Metadata items of a server",
        original="CYCLADES_VM_MAX_METADATA",
        unit="items",
        may_be_zero=True,
    )
    personality_max: int = setting(
        5,
        "Files that a request may inject",
        original="MAX_PERSONALITY",
        unit="files",
        may_be_zero=True,
    )
    personality_max_bytes: int = setting(
        10240, "Largest injected file", original="MAX_PERSONALITY_SIZE"
    )
    volume_max_gib: int = setting(200, "Largest volume", original="CYCLADES_VOLUME_MAX_SIZE")
    nics_per_instance_max: int = setting(
        8, "Ports of one server", original="GANETI_MAX_NICS_PER_INSTANCE", unit="ports"
    )
    poll_limit_seconds: int = setting(
        3600, "Oldest changes-since that is answered", original="POLL_LIMIT"
    )
    kept_pages_max_bytes: int = setting(
        16 * 1024 * 1024,
        "Memory of a process for pages of servers that were asked for last",
        may_be_zero=True,
    )
    servers_fqdn: str = setting(
        "snf-%(id)s.vm.example.synnefo.org", "Host name shown for a server; empty: none",
        original="CYCLADES_SERVERS_FQDN",
    )  # fmt: skip
    default_bridge: str = setting("br0", "Bridge of CUSTOM networks", original="DEFAULT_BRIDGE")
    mac_filtered_bridge: str = setting(
        "prv0", "Bridge of MAC_FILTERED networks", original="DEFAULT_MAC_FILTERED_BRIDGE"
    )
    default_mac_prefix: str = setting(
        "aa:00:0", "MAC prefix of networks without their own", original="DEFAULT_MAC_PREFIX"
    )
    enabled_network_flavors: tuple[str, ...] = setting(
        ("MAC_FILTERED",), "Network types that users may create",
        original="API_ENABLED_NETWORK_FLAVORS",
    )  # fmt: skip
    cidr_prefix_min: int = setting(
        22, "Shortest prefix of a subnet", original="MAX_CIDR_BLOCK", unit="bits"
    )
    address_rest_seconds: int = setting(
        600, "Time that a freed public address rests", may_be_zero=True
    )
    address_block: int = setting(64, "Addresses that are made at a time", unit="addresses")
    vmapi_base_url: str = setting(
        "", "URL under which nodes reach the one-time parameters; empty: the site's",
        original="VMAPI_BASE_HOST",
    )  # fmt: skip
    vmapi_repeat_seconds: int = setting(
        60, "Time in which a cut read may be repeated", may_be_zero=True
    )
    vmapi_life_seconds: int = setting(3600, "Longest life of one-time parameters")
    vmapi_nodes_only: bool = setting(
        False, "Give one-time parameters to primary addresses of the cluster's nodes only"
    )
    vmapi_misses_max: int = setting(
        20,
        "Requests for unknown one-time parameters that an address may make in five minutes",
        unit="requests",
    )
    os_name: str = setting(
        "snf-image+default", "OS definition of new instances",
        original="GANETI_CREATEINSTANCE_KWARGS",
    )  # fmt: skip
    vcpus_per_instance: int = setting(
        4, "Virtual CPUs that placement counts per instance", unit="CPUs"
    )
    vcpu_ratio_max: float = setting(
        3.0, "Virtual CPUs per real one up to which clusters fill", unit="ratio"
    )
    job_limit_seconds: int = setting(6 * 3600, "Longest life of a job before its server is ERROR")
