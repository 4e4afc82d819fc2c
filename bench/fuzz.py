"""``python -m bench.fuzz TARGET --seconds N``: random bytes for what reads strangers' bytes.

Guided by coverage (atheris); it ends at the first input that raises, and keeps that input
beside the corpus of ``--corpus``. Each target checks a promise beside not raising.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["freellmapi"]):
    from bench.fuzzed import TARGETS


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.fuzz", description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, help="a folder to begin from and to add to")
    given = parser.parse_args()
    flags = [sys.argv[0], f"-max_total_time={given.seconds}", "-max_len=4096", "-timeout=10"]
    if given.corpus:
        given.corpus.mkdir(parents=True, exist_ok=True)
        flags += [str(given.corpus), f"-artifact_prefix={given.corpus}/found-"]
    atheris.Setup(flags, TARGETS[given.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
