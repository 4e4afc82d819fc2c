"""More clients than there is room for: no cap is exceeded, all of them are used, in turn.

The windows are true minutes, so this takes a little more than one. ``python -m
bench.capacity`` does the same for longer, with caps by tokens and by day as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from freellmapi.storage.logged import LoggedRequest
from tests.e2e.crowd import Member, crowd, within
from tests.e2e.server import CLOCK, Server, config
from tests.e2e.stage import ask
from tests.fakes.provider import Caps, FakeProvider, later, says

pytestmark = pytest.mark.e2e

CLIENTS, SECONDS = 100, 72.0
RPM, TPM, USAGE = 40, 4000, (60, 40)
KEYS = [("requests", f"key-{n}") for n in range(3)] + [("tokens", f"key-{n}") for n in range(2)]
EACH_MINUTE = 3 * RPM + 2 * TPM // sum(USAGE)
QUEUED, QUEUE_RPM = 12, 4
AT_ONCE, IN_LINE = 2, 20


@dataclass(frozen=True, slots=True)
class Told:
    """What everybody saw."""

    crowd: list[Member]
    queue: list[LoggedRequest]
    """Who asked for the minute's calls of one key, in the order in which they came."""
    line: list[LoggedRequest]
    """Who asked for calls at the same time, likewise."""


@pytest.fixture(scope="module")
def fakes() -> Iterator[dict[str, FakeProvider]]:
    with (
        FakeProvider(limits=Caps(rpm=RPM)) as requests,
        FakeProvider(limits=Caps(tpm=TPM)) as tokens,
        FakeProvider(limits=Caps(rpm=QUEUE_RPM)) as queue,
        FakeProvider(limits=Caps(concurrency=AT_ONCE)) as line,
    ):
        fakes = {"requests": requests, "tokens": tokens, "queue": queue, "line": line}
        for fake in fakes.values():
            fake.default = later(0.2, says("four words of answer", usage=USAGE))
        yield fakes


@pytest.fixture(scope="module")
def told(
    fakes: dict[str, FakeProvider], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Told]:
    """A crowd, and at the same time a queue before a provider of its own."""
    caps = {"requests": f"rpm = {RPM}", "tokens": f"tpm = {TPM}", "queue": f"rpm = {QUEUE_RPM}"}
    caps["line"] = f"concurrency = {AT_ONCE}"
    text = config(
        {name: fake.base_url for name, fake in fakes.items()},
        chain=["requests/m", "tokens/m"],
        keys=KEYS,
        more="".join(
            f'[[limits]]\nprovider = "{name}"\nmodel = "m"\n{cap}\n' for name, cap in caps.items()
        ),
        probe_interval=0,
    )
    with Server(tmp_path_factory.mktemp("capacity"), text) as server, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(one_by_one, server, "queue/m", QUEUED, 0.25)
        members = crowd(server, CLIENTS, SECONDS)
        waiting.result(120)
        one_by_one(server, "line/m", IN_LINE, 0.05)
        rows = sorted(server.rows(), key=lambda row: row.at)
        queue, line = ([r for r in rows if r.model == f"{n}/m"] for n in ("queue", "line"))
        yield Told(members, queue, line)


def one_by_one(server: Server, model: str, count: int, every: float) -> None:
    """Who asks one after the other for what only some can have at the same time."""

    def one(number: int) -> None:
        ask(client, model, stream=number % 2 == 0, headers={"X-Max-Wait": "70"})

    with server.client(90) as client, ThreadPoolExecutor(count) as pool:
        for number in range(count):
            pool.submit(one, number)
            CLOCK.sleep(every)


def test_the_providers_never_say_429(fakes: dict[str, FakeProvider], told: Told) -> None:
    assert {name: fake.violations for name, fake in fakes.items()} == dict.fromkeys(fakes, 0)


def test_nearly_all_there_is_is_used(fakes: dict[str, FakeProvider], told: Told) -> None:
    served = fakes["requests"].served, fakes["tokens"].served
    first = sum(within(calls, 60) for calls in served)
    whole = sum(within(calls, SECONDS) for calls in served)
    assert first >= 0.95 * EACH_MINUTE
    assert whole >= 0.95 * 2 * EACH_MINUTE
    assert len({call.key for calls in served for call in calls}) == 3


def test_nobody_is_starved(told: Told) -> None:
    members = told.crowd
    assert [member.wrong for member in members] == [[] for _ in members]
    assert all(member.refused or member.waits for member in members)
    answers = sorted(len(member.waits) for member in members)
    assert answers[0] >= 1
    assert max(wait for member in members for wait in member.waits) < SECONDS


def test_who_came_first_is_served_first(told: Told) -> None:
    """Four at once, four when the minute is over, and the rest are told so at once."""
    rows = told.queue
    assert [row.status for row in rows] == [200] * 2 * QUEUE_RPM + [429] * (QUEUED - 2 * QUEUE_RPM)
    at_once, waited, refused = rows[:4], rows[4:8], rows[8:]
    assert max(row.duration for row in [*at_once, *refused]) < 5
    assert all(50 < row.duration < 66 for row in waited)


def test_calls_under_way_are_waited_for_in_turn(told: Told) -> None:
    assert [row.status for row in told.line] == [200] * IN_LINE
    began = [attempt.started_at for row in told.line for attempt in row.attempts]
    assert began == sorted(began)
    assert told.line[-1].duration > 0.2 * (IN_LINE - AT_ONCE) / AT_ONCE - 0.05 * IN_LINE
