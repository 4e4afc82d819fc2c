"""The scenarios: each puts one load on a server and returns figures by name."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.load import Shape, Tally, Target, load
from bench.processes import Server
from bench.subjects import REFUSING_MODELS, Subject, always_refusing, refusing_chain

NAN = float("nan")
GATEWAY = "gateway"
YARDSTICKS = {"empty": {"small", "latency"}, "direct": {"small", "latency"}}
"""Subjects that are no gateways, and the scenarios that they can take part in."""
FAILOVERS = 500
"""Requests in a row that meet the same refusing candidate first."""
Figures = dict[str, float]


@dataclass(slots=True)
class Trial:
    """One running server, the provider behind it, and how big the loads are."""

    subject: Subject
    server: Server
    provider: Target
    scale: float = 1.0
    held: Sequence[int] = (1000, 5000)
    errors: Counter[str] = field(default_factory=Counter)

    async def put(
        self,
        shape: Shape,
        *,
        connections: int = 1,
        count: int | None = None,
        seconds: float | None = None,
        ramp: float = 0.0,
    ) -> tuple[Tally, float]:
        """The load's tally, and the CPU ms of the server for each request answered."""
        if count is not None:
            count = max(connections, int(count * self.scale))
        if seconds is not None:
            seconds *= self.scale
        before = self.server.cpu_ms()
        tally = await load(
            self.subject.target,
            shape,
            connections=connections,
            count=count,
            seconds=seconds,
            ramp=ramp,
        )
        self.errors += Counter({f"{self.subject.name}: {k}": n for k, n in tally.errors.items()})
        self.server.check()
        return tally, (self.server.cpu_ms() - before) / tally.ok if tally.ok else NAN

    async def beside(
        self, shape: Shape, connections: int, count: int, rounds: int = 4
    ) -> tuple[Tally, Tally]:
        """The same load straight to the provider and through the server, in turns."""
        straight, through = Tally(), Tally()
        each = max(connections, int(count * self.scale / rounds))
        for _ in range(rounds):
            straight.add(await load(self.provider, shape, connections=connections, count=each))
            tally, _ = await self.put(shape, connections=connections, count=count // rounds)
            through.add(tally)
        return straight, through


def middle(values: Sequence[float]) -> float:
    return median(values) if values else NAN


def high(values: Sequence[float]) -> float:
    """The 99th percentile."""
    return sorted(values)[int(len(values) * 0.99)] if values else NAN


async def warm_up(trial: Trial) -> None:
    """Lets connections be made and caches fill, uncounted."""
    await trial.put(Shape(), connections=8, seconds=2)
    if trial.subject.name in YARDSTICKS:
        return
    await trial.put(Shape(tokens=20, every_ms=1), connections=8, count=100)


async def small(trial: Trial) -> Figures:
    tally, cpu = await trial.put(Shape(), connections=32, seconds=5)
    return {
        "CPU ms per request": cpu,
        "requests/s, 32 connections": tally.ok / tally.seconds,
    }


async def latency(trial: Trial) -> Figures:
    straight, through = await trial.beside(Shape(), 1, 600)
    return {
        "latency ms p50, 1 connection": middle(through.times),
        "added latency ms p50, 1 connection": middle(through.times) - middle(straight.times),
        "added latency ms p99, 1 connection": high(through.times) - high(straight.times),
    }


async def first_token(trial: Trial) -> Figures:
    shape = Shape(tokens=20, every_ms=20)
    straight, through = await trial.beside(shape, 50, 300, rounds=2)
    added = middle(through.firsts) - middle(straight.firsts)
    return {"added first token ms p50, 50 streams at once": added}


async def paced(trial: Trial) -> Figures:
    tally, cpu = await trial.put(Shape(tokens=100, every_ms=10), connections=20, count=80)
    return {
        "CPU ms per stream, 100 chunks 10 ms apart": cpu,
        "chunk lag ms p50, 20 streams": middle(tally.lags),
    }


async def burst(trial: Trial) -> Figures:
    _, cpu = await trial.put(Shape(tokens=100), connections=4, count=300)
    return {"CPU ms per stream, 100 chunks in a burst": cpu}


async def held(trial: Trial) -> Figures:
    """Slow streams (50 chunks, 100 ms apart), all open at once.

    More than a thousand begin more slowly, with 20 chunks further apart: 2,500 chunks a second
    are a quarter of what a core does.
    """
    figures: Figures = {}
    for number in trial.held:
        shape, ramp = Shape(tokens=50, every_ms=100), number / 500
        if number > 1000:
            shape, ramp = Shape(tokens=20, every_ms=number * 2 // 5), number / 150
        tally = await load(trial.subject.target, shape, connections=number, count=number, ramp=ramp)
        name = f"{number} slow streams"
        trial.server.check()
        figures[f"{name}: answered"] = tally.ok
        figures[f"{name}: first token ms p50"] = middle(tally.firsts) - shape.every_ms
        figures[f"{name}: chunk lag ms p99"] = high(tally.lags)
        lost = Counter({f"{trial.subject.name}: {k}": n for k, n in tally.errors.items()})
        trial.errors += lost
    return figures


async def large(trial: Trial) -> Figures:
    _, cpu = await trial.put(Shape(prompt_kib=1024, answer_kib=200), connections=2, count=60)
    return {"1 MB in, 200 KB out: CPU ms": cpu}


async def failover(trial: Trial) -> Figures:
    """One chain whose first candidate always answers 429; only a gateway can do this.

    After the first refusal it is benched, and asked again only when that wait is over.
    """
    return await _refused(trial, "failover", always_refusing, FAILOVERS)


async def fresh_failover(trial: Trial) -> Figures:
    """Each request's first candidate answers 429 for the first time, and is asked twice.

    The second time is for loyalty to the model that was named, after the stated wait.
    """
    return await _refused(trial, "failover, a fresh 429 each", refusing_chain, REFUSING_MODELS)


async def _refused(
    trial: Trial, name: str, chain: Callable[[int], tuple[str, str]], count: int
) -> Figures:
    if trial.subject.name != GATEWAY:
        return {}
    before = refusals(trial.provider)
    tally, cpu = await trial.put(Shape(chain=chain), count=count)
    met = (refusals(trial.provider) - before) / max(1, tally.ok)
    return {f"{name}: CPU ms per request": cpu, f"{name}: 429s met per request": met}


def refusals(provider: Target) -> int:
    """How many calls the fake provider has refused so far."""
    conn = http.client.HTTPConnection("127.0.0.1", provider.port, timeout=10)
    try:
        conn.request("GET", "/counts")
        return int(json.loads(conn.getresponse().read()).get("refused", 0))
    finally:
        conn.close()


SCENARIOS: dict[str, Callable[[Trial], Awaitable[Figures]]] = {
    scenario.__name__: scenario
    for scenario in (
        *(small, latency, first_token, paced, burst, held, large),
        *(failover, fresh_failover),
    )
}
