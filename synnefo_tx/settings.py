"""Settings: frozen groups, read once from TOML and the environment, then passed as values.

Order of precedence: ``SYNNEFO_<GROUP>__<FIELD>`` in the environment, the settings file, the
default. The file is ``--config``, else ``SYNNEFO_CONFIG``, else ``$SYNNEFO_HOME/synnefo.toml``,
else ``/etc/synnefo/synnefo.toml``. Every field carries a help text and, where the original had
the setting, its name there; ``docs/settings.md`` is generated from them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from attrs import Attribute, Factory, field, fields, frozen

DEFAULT_HOME = Path("/var/lib/synnefo")
SYSTEM_FILE = Path("/etc/synnefo/synnefo.toml")


class SettingsError(Exception):
    """The settings cannot be used; the text names the field and what to do."""


def setting(default: Any, help: str, *, original: str = "", secret: bool = False) -> Any:
    """A field of a settings group: its default, its help text, its name in the original."""
    metadata = {"help": help, "original": original}
    if isinstance(default, list | dict):
        default = Factory(default.copy)
    return field(default=default, metadata=metadata, repr=not secret)


@frozen(kw_only=True)
class Http:
    host: str = setting("127.0.0.1", "Address that the HTTP API listens on")
    port: int = setting(8080, "Port of the HTTP API; 0 takes a free one")
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
    workers: int = setting(1, "Processes that serve the API; --workers has precedence")
    drain_limit_seconds: float = setting(
        10.0, "Time that running requests are given when a process stops"
    )
    requests_max: int = setting(
        200, "Requests that a process serves at once; more get 503 with Retry-After"
    )


@frozen(kw_only=True)
class Console:
    host: str = setting("127.0.0.1", "Address that the console's TLS websocket listens on")
    port: int = setting(8443, "Port of the console; 0 takes a free one")
    public_url: str = setting("", "wss:// URL that browsers use; empty: made of host and port")
    tls_certificate: str = setting("", "PEM file of the certificate; empty: one is made")
    tls_key: str = setting("", "PEM file of the certificate's key")
    allowed_origins: tuple[str, ...] = setting((), "Further Origins that may open a console")
    ticket_seconds: int = setting(30, "Life of a console ticket")
    sessions_per_user_max: int = setting(8, "Live consoles of one user, in all processes")
    sessions_per_server_max: int = setting(2, "Live consoles of one server, in all processes")
    sessions_max: int = setting(500, "Live consoles of one process")
    connect_limit_seconds: float = setting(5.0, "Longest wait for the hypervisor's screen")
    screen_ports: tuple[int, ...] = setting(
        (11000, 14999), "First and last port of the screens that may be dialled"
    )


@frozen(kw_only=True)
class DatabaseSettings:
    url: str = setting(
        "", "PostgreSQL URI, verify-full beyond this machine; empty: a private server at home",
        original="DATABASES",
    )  # fmt: skip
    connections_max: int = setting(8, "Connections of one process")
    waiting_max: int = setting(200, "Requests that may wait for a connection; more get 503")
    wait_limit_seconds: float = setting(5.0, "Longest wait for a connection")
    statement_limit_seconds: float = setting(10.0, "Longest run of one statement")
    transaction_idle_limit_seconds: float = setting(
        30.0, "Longest time that a transaction may wait for its process; then it is rolled back"
    )
    leader_silence_seconds: float = setting(
        10.0, "Silence of a leader (of pollers, of timers) after which another is elected"
    )


@frozen(kw_only=True)
class Identity:
    token_hours: int = setting(720, "Life of an API token", original="ASTAKOS_AUTH_TOKEN_DURATION")
    tokens_kept_max: int = setting(
        10_000,
        "Tokens, and as many sessions, that a process remembers while it hears of every change; "
        "0: none",
    )
    login_failures_max: int = setting(
        5, "Failed log-ins of one account from one address before it must wait",
        original="ASTAKOS_RATELIMIT_RETRIES_ALLOWED",
    )  # fmt: skip
    address_failures_max: int = setting(50, "Failed log-ins from one address before it must wait")
    login_window_seconds: int = setting(300, "Window in which failed log-ins are counted")
    session_idle_seconds: int = setting(
        12 * 3600, "Time without a request after which a browser must sign in again"
    )
    session_seconds: int = setting(
        7 * 86400, "Longest time between two sign-ins of a browser",
        original="SESSION_COOKIE_AGE",
    )  # fmt: skip
    staff_idle_seconds: int = setting(3600, "session_idle_seconds of administrators and helpdesk")
    staff_session_seconds: int = setting(
        12 * 3600, "session_seconds of administrators and helpdesk"
    )
    sessions_per_user_max: int = setting(
        20, "Browsers in which a user is signed in; one more ends the one unused for longest"
    )
    hashing_threads: int = setting(2, "Threads that hash passwords")
    hashing_waiting_max: int = setting(32, "Log-ins that may wait for a hashing thread")


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
        10, "Metadata items of a server", original="CYCLADES_VM_MAX_METADATA"
    )
    personality_max: int = setting(5, "Files that a request may inject", original="MAX_PERSONALITY")
    personality_max_bytes: int = setting(
        10240, "Largest injected file", original="MAX_PERSONALITY_SIZE"
    )
    volume_max_gib: int = setting(200, "Largest volume", original="CYCLADES_VOLUME_MAX_SIZE")
    nics_per_instance_max: int = setting(
        8, "Ports of one server", original="GANETI_MAX_NICS_PER_INSTANCE"
    )
    poll_limit_seconds: int = setting(
        3600, "Oldest changes-since that is answered", original="POLL_LIMIT"
    )
    kept_pages_max_bytes: int = setting(
        16 * 1024 * 1024, "Memory of a process for pages of servers that were asked for last"
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
    cidr_prefix_min: int = setting(22, "Shortest prefix of a subnet", original="MAX_CIDR_BLOCK")
    address_rest_seconds: int = setting(600, "Time that a freed public address rests")
    address_block: int = setting(64, "Addresses that are made at a time")
    vmapi_base_url: str = setting(
        "", "URL under which nodes reach the one-time parameters; empty: the site's",
        original="VMAPI_BASE_HOST",
    )  # fmt: skip
    vmapi_repeat_seconds: int = setting(60, "Time in which a cut read may be repeated")
    vmapi_life_seconds: int = setting(3600, "Longest life of one-time parameters")
    vmapi_nodes_only: bool = setting(
        False, "Give one-time parameters to primary addresses of the cluster's nodes only"
    )
    vmapi_misses_max: int = setting(
        20, "Requests for unknown one-time parameters that an address may make in five minutes"
    )
    os_name: str = setting(
        "snf-image+default", "OS definition of new instances",
        original="GANETI_CREATEINSTANCE_KWARGS",
    )  # fmt: skip
    vcpus_per_instance: int = setting(4, "Virtual CPUs that placement counts per instance")
    vcpu_ratio_max: float = setting(3.0, "Virtual CPUs per real one up to which clusters fill")
    job_limit_seconds: int = setting(6 * 3600, "Longest life of a job before its server is ERROR")


@frozen(kw_only=True)
class Ganeti:
    request_limit_seconds: float = setting(10.0, "Longest wait for one RAPI answer")
    connections_max: int = setting(4, "RAPI connections per cluster")
    breaker_failures: int = setting(3, "Unanswered calls in a row after which a cluster rests")
    breaker_rest_seconds: float = setting(15.0, "Time that a cluster rests")
    open_poll_seconds: float = setting(2.0, "Pause between looks while jobs are open")
    idle_poll_seconds: float = setting(30.0, "Pause between looks while none are")
    listing_seconds: float = setting(60.0, "Pause between listings of all instances")
    submit_wait_seconds: float = setting(2.0, "Time that a request waits for its job's number")
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
        3600.0, "Age up to which ended jobs are published at the first start, and by a new master"
    )
    query_limit_seconds: float = setting(5.0, "Longest wait for an instance's NICs and disks")
    stop_limit_seconds: float = setting(10.0, "Longest wait for a confirm when stopping")
    monitor_limit_seconds: float = setting(
        10.0, "Longest wait of snf-progress-monitor for confirms at the end"
    )
    pending_max: int = setting(
        20_000, "Changed jobs that are remembered; beyond, the queue is looked through again"
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
    prefetch: int = setting(64, "Messages of one queue that a process takes before it is done")


@frozen(kw_only=True)
class Demo:
    enabled: bool = setting(False, "Make demo users, flavors, images and an in-memory cluster")


@frozen(kw_only=True)
class Commands:
    user: str = setting(
        "", "User that snf-manage becomes when root runs it; empty: stays root",
        original="SNF_MANAGE_USER",
    )  # fmt: skip
    group: str = setting(
        "", "Group that snf-manage gets with that; empty: the user's", original="SNF_MANAGE_GROUP"
    )
    not_logged: str = setting(
        "-list$|-show$", "Commands that match this have no audit log; empty: all have",
        original="LOGGER_EXCLUDE_COMMANDS",
    )  # fmt: skip
    wait_limit_seconds: float = setting(3600.0, "Longest time that --wait waits for a job")


@frozen(kw_only=True)
class Log:
    level: str = setting("info", "Least level written: debug, info, warn, error")


@frozen(kw_only=True)
class Settings:
    """All settings of one process; ``home`` is SYNNEFO_HOME."""

    home: Path = DEFAULT_HOME
    http: Http = Factory(Http)
    console: Console = Factory(Console)
    database: DatabaseSettings = Factory(DatabaseSettings)
    identity: Identity = Factory(Identity)
    compute: Compute = Factory(Compute)
    ganeti: Ganeti = Factory(Ganeti)
    broker: BrokerSettings = Factory(BrokerSettings)
    eventd: Eventd = Factory(Eventd)
    demo: Demo = Factory(Demo)
    commands: Commands = Factory(Commands)
    log: Log = Factory(Log)

    @property
    def site_url(self) -> str:
        """The site's URL without a final slash."""
        if self.http.base_url:
            return self.http.base_url.rstrip("/")
        scheme = "https" if self.http.tls_certificate else "http"
        return f"{scheme}://{self.http.host}:{self.http.port}"

    @property
    def console_url(self) -> str:
        """What every console ticket's URL begins with, without a final slash."""
        if self.console.public_url:
            return self.console.public_url.rstrip("/")
        return f"wss://{self.console.host}:{self.console.port}/console"


def groups() -> dict[str, type[Any]]:
    """The name and class of every group."""
    hints = get_type_hints(Settings)
    return {each.name: hints[each.name] for each in fields(Settings) if each.name != "home"}


def load(environ: Mapping[str, str], config: str | None = None) -> Settings:
    """Read the settings.

    Raises SettingsError naming the file or variable, the field and what is expected.
    """
    home = Path(environ.get("SYNNEFO_HOME") or DEFAULT_HOME).absolute()
    document, source = _document(environ, home, config)
    unknown = set(document) - set(groups())
    if unknown:
        raise SettingsError(f"{source}: unknown group [{min(unknown)}]")
    values: dict[str, Any] = {}
    for name, group in groups().items():
        table = document.get(name, {})
        if not isinstance(table, dict):
            raise SettingsError(f"{source}: {name} must be a table: [{name}]")
        values[name] = _group(name, group, table, environ, source)
    _refuse_unknown_variables(environ)
    return Settings(home=home, **values)


def _document(
    environ: Mapping[str, str], home: Path, config: str | None
) -> tuple[dict[str, Any], str]:
    named = config or environ.get("SYNNEFO_CONFIG")
    candidates = [Path(named)] if named else [home / "synnefo.toml", SYSTEM_FILE]
    for path in candidates:
        try:
            with path.open("rb") as stream:
                return tomllib.load(stream), str(path)
        except FileNotFoundError:
            if named:
                raise SettingsError(f"settings file {path} does not exist") from None
        except OSError as error:
            raise SettingsError(f"cannot read settings file {path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"settings file {path} is not TOML: {error}") from None
    return {}, "settings"


def _group(
    name: str, group: type[Any], table: dict[str, Any], environ: Mapping[str, str], source: str
) -> Any:
    attributes: dict[str, Attribute[Any]] = {each.name: each for each in fields(group)}
    unknown = set(table) - set(attributes)
    if unknown:
        raise SettingsError(f"{source}: unknown setting {name}.{min(unknown)}")
    hints = get_type_hints(group)
    values: dict[str, Any] = {}
    for key in attributes:
        variable = f"SYNNEFO_{name.upper()}__{key.upper()}"
        if variable in environ:
            values[key] = _from_text(hints[key], environ[variable], variable)
        elif key in table:
            values[key] = _from_toml(hints[key], table[key], f"{source}: {name}.{key}")
    return group(**values)


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    known = {
        f"SYNNEFO_{name.upper()}__{each.name.upper()}"
        for name, group in groups().items()
        for each in fields(group)
    }
    for variable in environ:
        if variable.startswith("SYNNEFO_") and "__" in variable and variable not in known:
            raise SettingsError(f"environment variable {variable} is no setting")


def _from_toml(kind: Any, value: Any, where: str) -> Any:
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        if not isinstance(value, list):
            raise SettingsError(f"{where} must be a list")
        return tuple(_from_toml(inner, each, where) for each in value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise SettingsError(f"{where} must be of type {kind.__name__}, not {value!r}")
    return value


def _from_text(kind: Any, text: str, where: str) -> Any:
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        return tuple(_from_text(inner, each.strip(), where) for each in text.split(",") if each)
    if kind is bool:
        lowered = text.lower()
        if lowered not in ("true", "false", "1", "0", "yes", "no"):
            raise SettingsError(f"{where} must be true or false, not {text!r}")
        return lowered in ("true", "1", "yes")
    try:
        return kind(text)
    except ValueError:
        raise SettingsError(f"{where} must be of type {kind.__name__}, not {text!r}") from None
