"""A private RabbitMQ node: own name, ports, folders, certificates; nothing of the system's.

    python -m tests.acceptance.rabbitmq start|stop

Debian's package starts a service through init. Where none runs that does nothing; elsewhere a
policy forbids it while the package is installed.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VARIABLE = "SYNNEFO_TEST_BROKER"
HOME = Path("/var/lib/synnefo-testbed/rabbitmq")
NODE = "synnefo-testbed@localhost"
PLAIN_PORT, TLS_PORT, DISTRIBUTION_PORT = 5673, 5674, 25673
USER, PASSWORD = "synnefo", "testbed-secret"
START_LIMIT_SECONDS = 120
STOP_LIMIT_SECONDS = 60
POLICY = Path("/usr/sbin/policy-rc.d")
GROUP = HOME / "group"

BinaryFolder = Path("/usr/lib/rabbitmq/bin")


class RabbitFailed(Exception):
    """The node did not do what it was told; the text says what."""


@frozen
class RealBroker:
    """How tests reach the node. ``tls_port`` shows a certificate for the name localhost: to who
    asks for 127.0.0.1 it is one of the right authority for a wrong name."""

    plain_port: int
    tls_port: int
    user: str
    password: str
    ca_file: str

    @classmethod
    def of_environment(cls) -> RealBroker | None:
        """The node that the runner started, if it did."""
        listed = os.environ.get(VARIABLE)
        return None if not listed else cls(**json.loads(listed))

    @property
    def json(self) -> str:
        return json.dumps(attrs.asdict(self))


def install() -> None:
    """Install Debian's package unless it is there, without starting its service."""
    if (BinaryFolder / "rabbitmq-server").exists():
        return
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        command = ["apt-get", "install", "-y", "--no-install-recommends", "rabbitmq-server"]
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
    finally:
        if ours:
            POLICY.unlink()
    if done.returncode:
        raise RabbitFailed(f"rabbitmq-server cannot be installed: {done.stderr.decode()[-500:]}")


def environment() -> dict[str, str]:
    """What makes the node ours and no other's."""
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(HOME),
        "LANG": "C.UTF-8",
        "RABBITMQ_NODENAME": NODE,
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_CONFIG_FILE": str(HOME / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(HOME / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(HOME / "mnesia"),
        "RABBITMQ_LOG_BASE": str(HOME / "log"),
        "RABBITMQ_PID_FILE": str(HOME / "pid"),
        "RABBITMQ_DIST_PORT": str(DISTRIBUTION_PORT),
        # A port of its own for the register of Erlang nodes, which outlives the node.
        "ERL_EPMD_PORT": "4370",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }


CONFIGURATION = f"""
listeners.tcp.1 = 127.0.0.1:{PLAIN_PORT}
listeners.ssl.1 = 127.0.0.1:{TLS_PORT}
ssl_options.cacertfile = {HOME}/ca.pem
ssl_options.certfile = {HOME}/server.pem
ssl_options.keyfile = {HOME}/server.key
ssl_options.verify = verify_none
default_user = {USER}
default_pass = {PASSWORD}
heartbeat = 10
log.file.level = info
"""


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey]
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    authority = subject == issuer[0]
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(issuer[1], hashes.SHA256())
    )


def write_certificates(folder: Path) -> None:
    """An authority, and a certificate for the name localhost."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "testbed authority")])
    authority = _certificate("testbed authority", authority_key, (name, authority_key))
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate("localhost", key, (name, authority_key))
    (folder / "server.pem").write_bytes(certificate.public_bytes(pem))
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.key").write_bytes(secret)


def prepare() -> None:
    """Begin anew: an empty node's folder."""
    shutil.rmtree(HOME, ignore_errors=True)
    for folder in ("mnesia", "log"):
        (HOME / folder).mkdir(parents=True)
    (HOME / "rabbitmq.conf").write_text(CONFIGURATION)
    (HOME / "plugins").write_text("[].\n")
    write_certificates(HOME)


def control(*arguments: str, limit_seconds: float = 60) -> str:
    """Run rabbitmqctl on the node. Raises RabbitFailed."""
    command = [str(BinaryFolder / "rabbitmqctl"), "--node", NODE, *arguments]
    done = subprocess.run(
        command, env=environment(), capture_output=True, timeout=limit_seconds, check=False
    )
    if done.returncode:
        raise RabbitFailed(f"rabbitmqctl {arguments[0]}: {(done.stdout + done.stderr).decode()}")
    return done.stdout.decode()


def start() -> RealBroker:
    """Start the node, with what it had if it was there, and wait until it serves."""
    if not (HOME / "rabbitmq.conf").exists():
        prepare()
    with (HOME / "log" / "start").open("ab") as log:
        # A session of its own: its process group is known by its leader.
        process = subprocess.Popen(
            [str(BinaryFolder / "rabbitmq-server")],
            env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, cwd=HOME,
        )  # fmt: skip
    GROUP.write_text(str(process.pid))
    give_up = time.monotonic() + START_LIMIT_SECONDS
    while not (HOME / "pid").exists():
        if process.poll() is not None or time.monotonic() > give_up:
            raise RabbitFailed(f"the node does not start; see {HOME}/log/start")
        time.sleep(0.1)
    control("await_startup", "--timeout", str(START_LIMIT_SECONDS), limit_seconds=150)
    return RealBroker(PLAIN_PORT, TLS_PORT, USER, PASSWORD, str(HOME / "ca.pem"))


def add_vhost(name: str) -> None:
    """Make a host of queues that is apart from the others; harmless when it is there."""
    if name not in control("list_vhosts", "--silent").split():
        control("add_vhost", name)
        control("set_permissions", "--vhost", name, USER, ".*", ".*", ".*")


def running() -> list[int]:
    """The node's processes that live."""
    try:
        group = int(GROUP.read_text())
    except (OSError, ValueError):
        return []
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            # State, parent, process group: see proc(5).
            if int(fields[2]) == group and fields[0] not in "ZX":
                found.append(int(entry.name))
    return found


def stop(*, kill: bool = False) -> None:
    """Stop the node, in good order unless ``kill``; what it holds stays."""
    give_up = time.monotonic() + STOP_LIMIT_SECONDS
    if running():
        os.killpg(int(GROUP.read_text()), signal.SIGKILL if kill else signal.SIGTERM)
    while running():
        if time.monotonic() > give_up:
            os.killpg(int(GROUP.read_text()), signal.SIGKILL)
        time.sleep(0.1)
    (HOME / "pid").unlink(missing_ok=True)


def stop_register() -> None:
    """Stop the register of Erlang nodes that our node started."""
    subprocess.run(["epmd", "-kill"], env=environment(), capture_output=True, check=False)


@contextmanager
def running_broker() -> Iterator[RealBroker]:
    """A fresh node that is stopped at the end, however it comes."""
    install()
    stop()
    prepare()
    try:
        yield start()
    finally:
        stop()
        stop_register()


if __name__ == "__main__":
    if sys.argv[1:] == ["start"]:
        install()
        stop()
        prepare()
        sys.stdout.write(start().json + "\n")
    elif sys.argv[1:] == ["stop"]:
        stop()
        stop_register()
    else:
        raise SystemExit("usage: python -m tests.acceptance.rabbitmq start|stop")
