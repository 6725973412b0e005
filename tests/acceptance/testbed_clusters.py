"""Starts and stops real Ganeti clusters by the scripts in ``testbed/``."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from synnefo_tx.ganeti.tls import canonical_fingerprint
from tests.acceptance.clusters import RealCluster

SCRIPTS = Path(__file__).with_name("testbed")
FIRST_NUMBER = 11
START_TIMEOUT_SECONDS = 600
STOP_TIMEOUT_SECONDS = 120


class TestbedFailed(Exception):
    """A cluster could not be started or stopped."""


def cluster_name(position: int) -> str:
    """Name of the cluster at this position, from 0."""
    return f"gnt{FIRST_NUMBER + position}"


def start_cluster(position: int, kvm: bool) -> RealCluster:
    """A fresh cluster. Takes some 10 s, a minute more when packages are missing."""
    name, password = cluster_name(position), secrets.token_urlsafe(12)
    stop_cluster(position)
    environment = {"GANETI_RAPI_USER": "synnefo", "GANETI_RAPI_PASSWORD": password}
    _script("ganeti-up", name, ["--kvm"] if kvm else [], environment, START_TIMEOUT_SECONDS)
    state = Path("/var/lib/synnefo-testbed") / name
    certificate = x509.load_pem_x509_certificate((state / "lib" / "rapi.pem").read_bytes())
    return RealCluster(
        name=name,
        host="127.0.0.1",
        port=5079 + FIRST_NUMBER + position,
        username="synnefo",
        password=password,
        fingerprint_sha256=canonical_fingerprint(certificate.fingerprint(hashes.SHA256()).hex()),
        state=str(state),
        exec_path=str(SCRIPTS / "ganeti-exec"),
        bridge="syntbr0",
    )


def stop_cluster(position: int) -> None:
    """Stop the cluster and forget it, if it is there."""
    _script("ganeti-down", cluster_name(position), ["--purge"], {}, STOP_TIMEOUT_SECONDS)


def _script(
    script: str, name: str, options: list[str], extra: dict[str, str], timeout_seconds: float
) -> None:
    done = subprocess.run(
        [str(SCRIPTS / script), *options],
        env={**os.environ, **extra, "NAME": name},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        timeout=timeout_seconds,
        check=False,
        text=True,
    )
    if done.returncode != 0:
        raise TestbedFailed(f"{script} {name} ended with {done.returncode}:\n{done.stdout[-2000:]}")
