"""``make test``: lint, types and all suites but acceptance; ends with one line of counts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
COUNTS = re.compile(r"\b(successes|failures|errors|skips|expectedFailures)=(\d+)")
RAN = re.compile(r"^Ran (\d+) tests", re.MULTILINE)


def packages() -> list[str]:
    """Every test package but acceptance."""
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted(ROOT.glob("tests/**/test_*.py"))
    ]
    return [name for name in names if not name.startswith("tests.acceptance")]


def checks() -> int:
    """Lint, format and types; the count of those that failed."""
    commands = [
        [str(BIN / "ruff"), "check", "."],
        [str(BIN / "ruff"), "format", "--check", "."],
        [str(BIN / "mypy")],
    ]
    return sum(subprocess.run(command, cwd=ROOT).returncode != 0 for command in commands)


def trial(names: list[str]) -> tuple[int, int, int]:
    """Run trial on three processes, which wait for others much of the time; (passed, failed,
    skipped)."""
    command = [sys.executable, "-m", "twisted.trial", "-j3", "--rterrors", *names]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    tail = ""
    for line in process.stdout:
        sys.stdout.write(line)
        tail = (tail + line)[-4000:]
    process.wait()
    # Workers keep their output to themselves; how fast the simulator is must be seen.
    for path in sorted(ROOT.glob("_trial_temp/*/simulation.log")):
        sys.stdout.write(path.read_text())
    counts = {name: int(number) for name, number in COUNTS.findall(tail.rpartition("Ran ")[2])}
    failed = counts.get("failures", 0) + counts.get("errors", 0)
    passed = counts.get("successes", 0) + counts.get("expectedFailures", 0)
    if not RAN.search(tail) or (process.returncode != 0 and failed == 0):
        failed += 1
    return passed, failed, counts.get("skips", 0)


def main() -> int:
    """Run everything; 0 if nothing failed."""
    failed_checks = checks()
    passed, failed, skipped = trial(sys.argv[1:] or packages())
    failed += failed_checks
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
