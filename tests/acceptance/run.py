"""Acceptance: ``python -m tests.acceptance.run [SUITE | all]``, as root on Debian.

Without an argument the main journey of each suite is run, with the name of a suite the whole of
it, with ``all`` the whole of every suite. The runner starts what a suite needs, runs trial, and
stops what it started, also when it is interrupted.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import attrs

import tests.acceptance
from tests.acceptance import rabbitmq
from tests.acceptance.clusters import VARIABLE, RealCluster
from tests.acceptance.suite import Suite
from tests.acceptance.testbed_clusters import TestbedFailed, start_cluster, stop_cluster

TRIAL_TIMEOUT_SECONDS = 3600
STARTED = time.monotonic()


def say(text: str) -> None:
    """Progress, with the seconds since the start."""
    sys.stdout.write(f"[{time.monotonic() - STARTED:6.1f}s] {text}\n")
    sys.stdout.flush()


def find_suites() -> dict[str, Suite]:
    """All suites by name."""
    packages = [
        module.name for module in pkgutil.iter_modules(tests.acceptance.__path__) if module.ispkg
    ]
    found = {name: importlib.import_module(f"tests.acceptance.{name}") for name in packages}
    return {name: package.SUITE for name, package in found.items() if hasattr(package, "SUITE")}


@contextmanager
def running_cluster(position: int, kvm: bool) -> Iterator[RealCluster]:
    """A cluster that is stopped at the end, however it comes."""
    say(f"starting cluster {position + 1}{' with real guests' if kvm else ''}")
    try:
        yield start_cluster(position, kvm)
    finally:
        say(f"stopping cluster {position + 1}")
        stop_cluster(position)


@contextmanager
def broker_of(suite: Suite) -> Iterator[dict[str, str]]:
    """What tells tests of the suite's broker: nothing if it wants none."""
    if not suite.broker:
        yield {}
        return
    say("starting a broker")
    with rabbitmq.running_broker() as broker:
        yield {rabbitmq.VARIABLE: broker.json}
        say("stopping the broker")


def run_trial(
    name: str, target: str, clusters: list[RealCluster], broker: Mapping[str, str]
) -> bool:
    """Run the tests; whether all passed."""
    listed = json.dumps([attrs.asdict(cluster) for cluster in clusters])
    say(f"suite {name}: {target}")
    options = [f"--temp-directory=_trial_temp_{name}"]
    command = [sys.executable, "-m", "twisted.trial", *options, target]
    done = subprocess.run(
        command,
        env={**os.environ, VARIABLE: listed, **broker},
        timeout=TRIAL_TIMEOUT_SECONDS,
        check=False,
    )
    say(f"suite {name}: {'passed' if done.returncode == 0 else 'FAILED'}")
    return done.returncode == 0


def run_suite(name: str, suite: Suite, whole: bool) -> bool:
    """Start what the suite needs, run it, stop it; whether all passed."""
    package = f"tests.acceptance.{name}"
    with ExitStack() as stack:
        clusters = [
            stack.enter_context(running_cluster(position, suite.kvm))
            for position in range(suite.clusters)
        ]
        broker = stack.enter_context(broker_of(suite))
        target = package if whole else f"{package}.{suite.main}"
        return run_trial(name, target, clusters, broker)


def choose(suites: Mapping[str, Suite], arguments: list[str]) -> dict[str, bool]:
    """Which suites to run, and whether the whole of each. Raises SystemExit."""
    match arguments:
        case []:
            return dict.fromkeys(suites, False)
        case ["all"]:
            return dict.fromkeys(suites, True)
        case [name] if name in suites:
            return {name: True}
    raise SystemExit(f"usage: python -m tests.acceptance.run [all | {' | '.join(sorted(suites))}]")


def interrupt(number: int, frame: object) -> None:
    """SIGTERM ends the run as Ctrl-C does: what was started is stopped."""
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Run the suites asked for; 0 if all passed."""
    suites = find_suites()
    chosen = choose(suites, arguments)
    if any(suites[name].clusters for name in chosen) and os.geteuid() != 0:
        raise SystemExit("real clusters need root, for their namespaces and addresses")
    if any(suites[name].broker for name in chosen) and os.geteuid() != 0:
        raise SystemExit("a broker needs root, for Debian's package and its folder")
    signal.signal(signal.SIGTERM, interrupt)
    failed = []
    for name, whole in chosen.items():
        try:
            if not run_suite(name, suites[name], whole):
                failed.append(name)
        except (TestbedFailed, rabbitmq.RabbitFailed, subprocess.TimeoutExpired) as broken:
            say(f"suite {name}: {broken}")
            failed.append(name)
    say(f"failed: {', '.join(failed)}" if failed else "all passed")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(130)
