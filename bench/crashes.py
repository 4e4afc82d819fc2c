"""``python -m bench.crashes --rounds 100``: kill -9 at random moments, one database throughout.

After each round every answered request is in the log, the ledger counts no less than the log
knows, the file is sound, sums agree with rows, and keys, tokens, chain and settings are as
they were. Ends with exit code 1 at the first round of which that is not true.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path

from tests.e2e.crashes import VICTIMS, Round, crashes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.crashes")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rounds: list[Round] = []
    with tempfile.TemporaryDirectory() as folder, crashes(Path(folder), given.seed) as killed:
        for victim in islice(cycle(VICTIMS), given.rounds):
            try:
                rounds.append(killed.round(victim))
            except AssertionError:
                print(killed.server.log()[-4_000:], file=sys.stderr)
                raise
            print(line(len(rounds), rounds[-1]), flush=True)
    print(summary(rounds))
    return 0


def line(number: int, seen: Round) -> str:
    return (
        f"{number:4} {seen.victim:6}  answered {seen.answered:7}  logged {seen.logged:7}  "
        f"called {seen.called:7}  counted {seen.counted:7}  back after {seen.recovery:4.1f} s"
    )


def summary(rounds: list[Round]) -> str:
    last = rounds[-1]
    times = sorted(seen.recovery for seen in rounds)
    return (
        f"{len(rounds)} kills, {last.answered} requests answered, none lost; "
        f"{last.called - last.counted} calls under way at a kill and not counted; back after "
        f"{times[len(times) // 2]:.1f} s (median), {times[-1]:.1f} s at most"
    )


if __name__ == "__main__":
    sys.exit(main())
