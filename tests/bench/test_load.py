"""The load generator against the fake provider that the benchmark uses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.load import Shape, Tally, Target, load
from bench.measure import refusals
from bench.processes import Server
from bench.subjects import Subject, upstream


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Subject, Server]]:
    subject = upstream(tmp_path_factory.mktemp("bench"))
    server, _ = subject.start()
    with server:
        yield subject, server


def put(target: Target, shape: Shape, connections: int = 1, count: int = 1) -> Tally:
    return asyncio.run(load(target, shape, connections=connections, count=count))


def test_every_request_is_made_once_and_answered(provider: tuple[Subject, Server]) -> None:
    tally = put(provider[0].target, Shape(), connections=4, count=50)
    assert (tally.ok, len(tally.times), tally.errors) == (50, 50, {})


def test_a_streams_tokens_are_counted_and_timed(provider: tuple[Subject, Server]) -> None:
    tally = put(provider[0].target, Shape(tokens=7, every_ms=20), connections=3, count=3)
    assert (tally.ok, len(tally.firsts), len(tally.lags)) == (3, 3, 21)
    assert min(tally.firsts) >= 19
    assert min(tally.times) >= 7 * 20 - 1
    assert 0 <= min(tally.lags) and sorted(tally.lags)[10] < 1000


def test_a_burst_is_whole_too(provider: tuple[Subject, Server]) -> None:
    tally = put(provider[0].target, Shape(tokens=100), connections=2, count=4)
    assert (tally.ok, len(tally.lags), tally.errors) == (4, 400, {})


def test_a_large_body_goes_both_ways(provider: tuple[Subject, Server]) -> None:
    shape = Shape(prompt_kib=1024, answer_kib=200)
    assert len(shape.body("m", 1)) > 1_000_000
    assert put(provider[0].target, shape, count=2).ok == 2


def test_a_refusal_is_an_error_and_not_an_answer(provider: tuple[Subject, Server]) -> None:
    target = provider[0].target
    before = refusals(target)
    refused = Target(target.port, "k", "m", path="/429/1/v1/chat/completions")
    tally = put(refused, Shape(), count=3)
    assert tally.ok == 0
    assert sum(tally.errors.values()) == 3
    assert next(iter(tally.errors)).startswith("status 429")
    assert refusals(target) - before == 3


def test_cpu_and_memory_of_the_server_are_seen(provider: tuple[Subject, Server]) -> None:
    subject, server = provider
    before = server.cpu_ms()
    put(subject.target, Shape(), connections=8, count=2000)
    assert before < server.cpu_ms() < before + 20_000
    assert 5 < server.memory_mib() < 500


def test_a_dead_server_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="exited with 2"):
        subject = upstream(tmp_path)
        wrong = type(subject.program)(("-m", "bench.upstream"), {}, tmp_path / "log")
        Subject("wrong", wrong, subject.target).start()
