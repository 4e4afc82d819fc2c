"""``python -m bench.soak``: mixed traffic for twenty minutes; says whether memory stays flat.

One worker, asked for everything at once: small answers, streams slow and fast, refusals that
are gone around, large bodies, clients that leave in the middle, mistakes, and somebody who
looks at the dashboard. Every ten seconds it is looked at what the server holds.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import itertools
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.load import Shape, Target, load
from bench.loop import run
from bench.processes import Server
from bench.stock import NAME, PASSWORD
from bench.subjects import (
    Subject,
    always_refusing,
    gateway,
    refusing_chain,
    upstream,
)
from bench.trend import Trend, trend
from bench.visit import Visitor
from freellmapi.app import build_services
from freellmapi.settings import Settings

PAGES = ("/keys", "/chain", "/analytics?range=24h", "/playground", "/settings", "/healthz")
EVERY = 10.0
"""Seconds between two looks at the server."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the server held at one time."""

    seconds: float
    requests: int
    pss_mib: float
    own_mib: float
    files: int
    threads: int
    greenlets: int
    objects: int
    database_mib: float


ALLOWED = {
    "pss_mib": 4.0,
    "own_mib": 2.0,
    "files": 10.0,
    "threads": 2.0,
    "greenlets": 10.0,
    "objects": 4_000.0,
}
"""How much each may grow over the second half, by its trend."""


class Soak:
    """The traffic of one run, and what was seen meanwhile."""

    def __init__(self, subject: Subject, server: Server, data: Path, seconds: float) -> None:
        self._target = subject.target
        self._server = server
        self._data = data
        self._began = time.monotonic()
        self._end = self._began + seconds
        self.requests = 0
        self.errors: Counter[str] = Counter()
        self.samples: list[Sample] = []

    async def run(self) -> None:
        slow = Shape(tokens=50, every_ms=40)
        await asyncio.gather(
            self._again(0.5, lambda: self._load(Shape(), 8, 60)),
            self._again(0.1, lambda: self._load(slow, 20, 20)),
            self._again(2.0, lambda: self._load(Shape(tokens=100), 5, 10)),
            self._again(2.0, lambda: self._load(Shape(chain=always_refusing), 2, 10)),
            self._again(3.0, lambda: self._load(Shape(chain=refusing_chain), 2, 4)),
            self._again(5.0, lambda: self._load(Shape(prompt_kib=1024, answer_kib=200), 2, 2)),
            self._again(1.0, self._leave_early),
            self._again(1.0, self._make_mistakes),
            self._again(2.0, self._look_around()),
            self._again(EVERY, self._sample),
        )

    async def _again(self, pause: float, what: Callable[[], Awaitable[None]]) -> None:
        while time.monotonic() < self._end:
            await what()
            self._server.check()
            await asyncio.sleep(pause)

    async def _load(self, shape: Shape, connections: int, count: int) -> None:
        tally = await load(self._target, shape, connections=connections, count=count)
        self.requests += tally.ok
        self.errors += tally.errors

    async def _leave_early(self) -> None:
        """Five clients that read the first token of a long stream, and are gone."""
        body = Shape(tokens=500, every_ms=20).body(self._target.model, time.monotonic_ns())
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._target.port)
            writer.write(self._target.request(body))
            await reader.readuntil(b"~")
            writer.transport.abort()
            self.requests += 1

    async def _make_mistakes(self) -> None:
        good, right = Shape().body("auto", 0), self._target
        for target, body, expected in (
            (replace(right, key="wrong"), good, b"401"),
            (right, Shape().body("no-such-model", 0), b"404"),
            (right, b'{"model": "auto", "messages": [', b"400"),
        ):
            status = await _status(target, body)
            if status != expected:
                self.errors[f"{status.decode()} instead of {expected.decode()}"] += 1

    def _look_around(self) -> Callable[[], Awaitable[None]]:
        visitor, paths = Visitor(self._target.port), itertools.cycle(PAGES)
        visitor.log_in(NAME, PASSWORD)

        async def look() -> None:
            path = next(paths)
            answer = await asyncio.to_thread(visitor.get, path)
            if answer.status != 200:
                self.errors[f"GET {path}: {answer.status}"] += 1

        return look

    async def _sample(self) -> None:
        counts = await asyncio.to_thread(_counts, self._target.port)
        files = sum(f.stat().st_size for f in self._data.glob("freellmapi.db*"))
        sample = Sample(
            round(time.monotonic() - self._began, 1),
            self.requests,
            round(self._server.memory_mib(), 2),
            round(self._server.own_memory_mib(), 2),
            self._server.open_files(),
            self._server.threads(),
            counts["greenlets"],
            counts["objects"],
            round(files / 2**20, 2),
        )
        self.samples.append(sample)
        print(sample, file=sys.stderr)


async def _status(target: Target, body: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    writer.write(target.request(body))
    line = await reader.readline()
    writer.transport.abort()
    return line.split()[1]


def _counts(port: int) -> dict[str, int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/bench/counts")
        found: dict[str, int] = json.loads(connection.getresponse().read())
        return found
    finally:
        connection.close()


def trends(samples: Sequence[Sample]) -> dict[str, Trend]:
    """Of the second half, when everything has been met before."""
    late = samples[len(samples) // 2 :]
    times = [sample.seconds for sample in late]
    return {name: trend(times, [getattr(s, name) for s in late]) for name in ALLOWED}


def report(samples: Sequence[Sample], found: dict[str, Trend]) -> str:
    first, last = samples[0], samples[-1]
    grown = (last.database_mib - first.database_mib) * 2**20
    rows = [
        f"| {name} | {getattr(first, name):,} | {trend.low:,.1f} | {trend.high:,.1f} "
        f"| {trend.growth:+,.2f} | {ALLOWED[name]:,} |"
        for name, trend in found.items()
    ]
    return "\n".join(
        [
            f"{last.requests:,} requests in {last.seconds / 60:.1f} minutes; "
            f"{grown / max(1, last.requests - first.requests):.0f} bytes of database a request",
            "",
            "| held | at first | second half, least | most | its trend | allowed |",
            "|---|---:|---:|---:|---:|---:|",
            *rows,
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=20.0, help="how long (default 20)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all samples there")
    given = parser.parse_args()
    # What was started must end with us, however that comes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())).resolve()
        fake = upstream(folder)
        stack.enter_context(fake.start()[0])
        subject = gateway(folder, fake.target.port, {}, "auto", app="bench.watched:app")
        services = build_services(Settings.from_env(subject.program.environ))
        services.accounts.create(NAME, PASSWORD)
        services.close()
        server = stack.enter_context(subject.start()[0])
        soak = Soak(subject, server, folder / "gateway", given.minutes * 60)
        run(soak.run())
    found = trends(soak.samples)
    print(report(soak.samples, found))
    for error, times in soak.errors.items():
        print(f"\n{times} x {error}")
    if given.json:
        given.json.write_text(json.dumps([asdict(s) for s in soak.samples], indent=1) + "\n")
    grown = [name for name, trend in found.items() if trend.growth > ALLOWED[name]]
    print(f"\nnot flat: {', '.join(grown)}" if grown else "\nflat")
    return int(bool(grown or soak.errors))


if __name__ == "__main__":
    sys.exit(main())
