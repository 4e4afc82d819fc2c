"""``python -m bench.instructions``: what a request costs in machine instructions.

Counted by valgrind, so the figures are the same however busy the machine is. All that one
process does for a request is in them, from gunicorn's reading of the socket to the commit of
its row; what the kernel does is not. What is guarded is the ratio to an empty Flask view
under the same worker: it hardly changes with the interpreter, as the counts themselves do.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from bench.processes import ROOT
from bench.subjects import upstream

CASES = {"empty": 40, "small": 40, "failover": 40, "large": 10, "burst": 20, "paced": 4}
"""What is asked for -> how many times; ``bench.served`` knows what they are."""
BOUNDS = {"small": 2.25, "failover": 2.35, "large": 21.5, "burst": 6.0, "paced": 9.4}
"""How many empty views each may cost: 5 to 12 % more than was seen on 2026-11-29."""
AT_ONCE = 2
_COUNT = re.compile(r"Collected : (\d+)")
_VALGRIND = (
    *("valgrind", "--tool=callgrind", "--instr-atstart=no"),
    "--callgrind-out-file=/dev/null",
)


def instructions(case: str, port: int) -> float:
    """Of one request; ``RuntimeError`` with valgrind's words when it cannot be counted."""
    number = CASES[case]
    program = [sys.executable, "-m", "bench.served", case, str(number), str(port)]
    done = subprocess.run([*_VALGRIND, *program], cwd=ROOT, capture_output=True, text=True)
    found = _COUNT.search(done.stderr)
    if done.returncode or found is None or not int(found[1]):
        raise RuntimeError(f"{case}: {done.stderr[-2000:]}")
    return int(found[1]) / number


def counted(cases: Sequence[str]) -> dict[str, float]:
    """Case -> instructions of one request."""
    with tempfile.TemporaryDirectory() as folder:
        provider = upstream(Path(folder))
        with provider.start()[0], ThreadPoolExecutor(AT_ONCE) as pool:
            found = pool.map(partial(instructions, port=provider.target.port), cases)
            return dict(zip(cases, found, strict=True))


def ratios(counts: Mapping[str, float]) -> dict[str, float]:
    return {case: count / counts["empty"] for case, count in counts.items() if case in BOUNDS}


def table(counts: Mapping[str, float]) -> str:
    found = ratios(counts)
    rows = [
        f"| {case} | {count / 1000:,.0f} | {found.get(case, 1):.2f} | {BOUNDS.get(case, '')} |"
        for case, count in counts.items()
    ]
    head = "| request | thousand instructions | empty views | bound |\n|---|---:|---:|---:|"
    return "\n".join([head, *rows])


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.instructions", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the counts there")
    parser.add_argument("cases", nargs="*", help=f"some of: {', '.join(BOUNDS)} (default: all)")
    given = parser.parse_args()
    if unknown := set(given.cases) - BOUNDS.keys():
        parser.error(f"no case {', '.join(sorted(unknown))}")
    counts = counted(["empty", *given.cases] if given.cases else list(CASES))
    print(table(counts))
    if given.json:
        given.json.write_text(json.dumps(counts, indent=1) + "\n")
    dear = [case for case, ratio in ratios(counts).items() if ratio > BOUNDS[case]]
    for case in dear:
        print(f"{case}: more than its bound of {BOUNDS[case]} empty views", file=sys.stderr)
    return 1 if dear else 0


if __name__ == "__main__":
    sys.exit(main())
