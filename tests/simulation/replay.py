"""``python -m tests.simulation.replay --seed S --case create [--at 17:CRASH]``: one run's trace.

Without ``--case`` the seed is one of the random loads. Exit status 1 when an invariant broke.
"""

from __future__ import annotations

import argparse
import sys
import traceback

from tests.simulation import load
from tests.simulation.faults import USE_CASES, Point, run
from tests.simulation.gates import Fault


def point(text: str) -> Point:
    """``17:CRASH``; raises ValueError."""
    gate, _, fault = text.partition(":")
    return Point(int(gate), Fault[fault])


def main(arguments: list[str]) -> int:
    """Repeat a run and print its trace."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.replay")
    parser.add_argument("--seed", required=True)
    parser.add_argument("--case", choices=sorted(USE_CASES))
    parser.add_argument("--at", type=point, help="number of the gate, colon, name of the fault")
    parser.add_argument("--messages", action="store_true", help="the clusters tell of their jobs")
    parser.add_argument("--mode", choices=["liveness", "safety"], default="liveness")
    parser.add_argument("--follows", action="store_true", help="clients keep up with changes")
    given = parser.parse_args(arguments)
    try:
        if given.case:
            case, messages = USE_CASES[given.case], given.messages
            done = run(case, given.seed, given.at, messages=messages, keeps_lines=True)
        else:
            done = load.run(given.seed, given.mode, keeps_lines=True, follows=given.follows)
    except Exception:
        traceback.print_exc(file=sys.stdout)
        return 1
    sys.stdout.write("\n".join(done.lines) + f"\ntrace {done.digest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
