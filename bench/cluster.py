"""``python -m bench.cluster``: two machines of two workers behind nginx, and what befalls them.

First the throughput and the CPU time of a small request, of one worker by itself and of four
that share Redis and PostgreSQL. Then many clients, true caps, and the ends of Redis, of
PostgreSQL and of a machine: no cap exceeded, no answer lost from the log.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench import subjects
from bench.load import Shape, Tally, Target, load
from bench.pi import shown
from bench.processes import Server as Measured
from tests.e2e.cluster import cluster
from tests.e2e.disasters import Story, told
from tests.e2e.server import Server

MODEL = "bench/small"
CONNECTIONS = 32
WARM_UP = 200
CONFIG = """
chain = ["bench/small"]
[settings]
probe_interval = 0
[[providers]]
id = "bench"
base_url = "http://127.0.0.1:{port}/v1"
key = "none"
models = [{{ id = "small", context = 1000000, limits = {{ rpm = 1000000, tpm = 1000000000 }} }}]
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.cluster", description="Two machines, one service.")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds from answer to question")
    parser.add_argument("--seconds", type=float, default=120, help="of the story, at least")
    parser.add_argument("--load", type=float, default=10, help="seconds of each throughput")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        errors = throughput(Path(folder), given.load)
        story = told(Path(folder) / "story", given.clients, given.pause, given.seconds, print)
    return report(story) + errors


def throughput(folder: Path, seconds: float) -> int:
    """Prints both; how many requests went wrong."""
    provider, _ = (upstream := subjects.upstream(folder)).start()
    text = CONFIG.format(port=upstream.target.port)
    with provider:
        (alone := folder / "alone").mkdir()
        with Server(alone, text) as server:
            target = Target(server.port, server.token, MODEL)
            errors = measured("one worker, SQLite", target, [server], seconds)
        with cluster(folder / "four", text) as site:
            trusted = ssl.create_default_context(cafile=str(site.front.certificate))
            target = Target(site.front.port, site.machines[0].token, MODEL, tls=trusted)
            errors += measured("four workers, nginx", target, site.machines, seconds)
            return errors


def measured(name: str, target: Target, servers: Sequence[Server], seconds: float) -> int:
    """Prints one line; how many requests went wrong."""
    processes = [Measured(s.process, s.log_file) for s in servers if s.process is not None]
    asyncio.run(load(target, Shape(), connections=CONNECTIONS, count=WARM_UP))
    before = sum(process.cpu_ms() for process in processes)
    tally: Tally = asyncio.run(load(target, Shape(), connections=CONNECTIONS, seconds=seconds))
    cpu = (sum(process.cpu_ms() for process in processes) - before) / max(tally.ok, 1)
    rate = tally.ok / tally.seconds
    print(f"{name:22} {rate:5.0f}/s, {shown(tally.times)}, CPU {cpu:.2f} ms each", flush=True)
    for error, times in tally.errors.items():
        print(f"{times} x {error}")
    return sum(tally.errors.values())


def report(story: Story) -> int:
    """Prints what was seen; how many promises are not kept."""
    rows = Counter(row.request_id for row in story.rows if row.status == 200)
    missing = sum(rows[id] == 0 for _, id in story.answered)
    twice = sum(rows[id] > 1 for _, id in story.answered)
    unexplained = story.unexplained()
    print(f"answers {len(story.answered)}, told to wait {story.refused}, cores {os.cpu_count()}")
    print(f"429s by providers: {story.violations}, of {story.served} calls")
    print(f"answers without a row: {missing}; with two: {twice}")
    print(f"lost with the machine: {len(story.lost) - len(unexplained)}; else: {len(unexplained)}")
    for each in unexplained[:5]:
        print(f"lost: {each}")
    return sum([any(story.violations.values()), missing > 0, twice > 0, bool(unexplained)])


if __name__ == "__main__":
    sys.exit(main())
