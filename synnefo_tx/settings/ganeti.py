"""Clusters: RAPI, the daemon on their masters, the broker."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.settings.field import setting


@frozen(kw_only=True)
class Ganeti:
    request_limit_seconds: float = setting(10.0, "Longest wait for one RAPI answer")
    connections_max: int = setting(4, "RAPI connections per cluster", unit="connections")
    breaker_failures: int = setting(
        3, "Unanswered calls in a row after which a cluster rests", unit="calls"
    )
    breaker_rest_seconds: float = setting(15.0, "Time that a cluster rests")
    open_poll_seconds: float = setting(2.0, "Pause between looks while jobs are open")
    idle_poll_seconds: float = setting(30.0, "Pause between looks while none are")
    listing_seconds: float = setting(60.0, "Pause between listings of all instances")
    submit_wait_seconds: float = setting(
        2.0, "Time that a request waits for its job's number", may_be_zero=True
    )
    lost_look_seconds: float = setting(
        60.0, "Time between the two looks after which a submission without reply counts as lost"
    )
    submit_limit_seconds: float = setting(
        300.0, "Time after which a request that no cluster took ends in an error"
    )
    stats_refresh_seconds: float = setting(
        60.0, "Pause between readings of nodes", original="BACKEND_REFRESH_MIN"
    )


@frozen(kw_only=True)
class Eventd:
    queue_folder: str = setting("/var/lib/ganeti/queue", "Ganeti's job queue on this node")
    ssconf_folder: str = setting("/var/lib/ganeti", "Folder of Ganeti's ssconf files")
    socket_folder: str = setting(
        "/run/ganeti/socket", "Folder of Ganeti's query socket ganeti-query"
    )
    state_file: str = setting(
        "", "File that remembers what was published; empty: eventd.json below SYNNEFO_HOME"
    )
    node_name: str = setting("", "This node's name in its cluster; empty: the host name")
    check_seconds: float = setting(5.0, "Pause between looks at who is master")
    save_seconds: float = setting(1.0, "Pause between writings of the state file")
    retry_seconds: float = setting(5.0, "Pause before a message that failed is tried again")
    unwanted_seconds: float = setting(
        60.0, "Pause before a message goes again where no queue took one"
    )
    history_seconds: float = setting(
        3600.0,
        "Age up to which ended jobs are published at the first start, and by a new master",
        may_be_zero=True,
    )
    query_limit_seconds: float = setting(5.0, "Longest wait for an instance's NICs and disks")
    stop_limit_seconds: float = setting(10.0, "Longest wait for a confirm when stopping")
    monitor_limit_seconds: float = setting(
        10.0, "Longest wait of snf-progress-monitor for confirms at the end"
    )
    pending_max: int = setting(
        20_000,
        "Changed jobs that are remembered; beyond, the queue is looked through again",
        unit="jobs",
    )
    job_file_max_bytes: int = setting(4 * 1024 * 1024, "Largest job file that is read")


@frozen(kw_only=True)
class BrokerSettings:
    urls: tuple[str, ...] = setting(
        (), "amqp:// and amqps:// URLs of brokers that stand for each other; empty: no broker",
        original="AMQP_HOSTS", secret=True,
    )  # fmt: skip
    exchange: str = setting("ganeti", "Exchange of news from clusters", original="EXCHANGE_GANETI")
    ca_file: str = setting("", "PEM file of the brokers' authority; empty: the system's")
    certificate_file: str = setting("", "PEM file of our certificate, for brokers that want one")
    key_file: str = setting("", "PEM file of that certificate's key")
    plain_allowed: bool = setting(False, "Use amqp:// to other machines too, without TLS")
    heartbeat_seconds: int = setting(20, "Time between signs of life, which a broker may shorten")
    prefetch: int = setting(
        64, "Messages of one queue that a process takes before it is done", unit="messages"
    )
