"""Providers that send too much, too slowly, or no end: another one answers, in bounds."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.server import CLOCK, HELLO, Server, config
from tests.fakes.provider import FakeProvider, says
from tests.fakes.wire import Connection, SeenRequest

pytestmark = pytest.mark.e2e

MB = 1024 * 1024
MEMORY = 250 * MB
"""Bytes by which a wild answer may make the server larger: the largest answer is 64 MiB."""
TIME = 20.0
"""Seconds until somebody else has answered."""
HELD = 0.05
"""Seconds for which nothing that we do may keep others waiting."""
TIMES: dict[str, Any] = {
    "first_byte_timeout": 2,
    "last_first_byte_timeout": 4,
    "idle_timeout": 2,
}


@dataclass(frozen=True, slots=True)
class Wild:
    """A reply that writes what it likes, as long as it is listened to."""

    head: bytes
    pieces: Callable[[], Iterator[bytes]]
    pause: float = 0.0

    def play(self, conn: Connection, request: SeenRequest) -> None:
        conn.write(b"HTTP/1.1 200 OK\r\n" + self.head)
        for piece in self.pieces():
            conn.write(piece)
            if self.pause:
                conn.pause(self.pause)
        conn.pause(60)


def for_ever(piece: bytes) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        while True:
            yield piece

    return pieces


def once(*pieces: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter(pieces)


JSON = b"Content-Type: application/json\r\n"
EVENTS = b"Content-Type: text/event-stream\r\n\r\n"
HEADERS = b"".join(b"X-%d: y\r\n" % n for n in range(10_000))
WHOLE = {
    "a byte a second": Wild(JSON + b"Content-Length: 1000\r\n\r\n", for_ever(b" "), 1.0),
    "100 MB": Wild(JSON + b"\r\n", lambda: iter([b"[" + b" " * MB] * 100)),
    "no end": Wild(JSON + b"\r\n", for_ever(b" " * MB)),
    "a head without end": Wild(b"", for_ever(b"X: y\r\n" * 1000)),
    "10,000 headers": Wild(HEADERS * 4 + JSON + b"Content-Length: 2\r\n\r\n{}", once()),
    "a header of 1 MB": Wild(b"X: " + b"y" * MB + b"\r\nContent-Length: 2\r\n\r\n{}", once()),
}
STREAMED = {
    "a byte a second": Wild(EVENTS, for_ever(b" "), 1.0),
    "a line without end": Wild(EVENTS, for_ever(b"x" * MB)),
    "a line of 100 MB": Wild(EVENTS, lambda: iter([b"data: ", *[b"x" * MB] * 100, b"\n\n"])),
    "comments without end": Wild(EVENTS, for_ever(b": nothing\n\n" * 10), 0.05),
}


@dataclass(frozen=True, slots=True)
class House:
    wild: FakeProvider
    server: Server

    def gauge(self, name: str) -> float:
        text = requests.get(f"{self.server.url}/metrics", timeout=30).text
        families = text_string_to_metric_families(text)
        return next(s.value for family in families for s in family.samples if s.name == name)

    def ask(self, stream: bool) -> tuple[str, float]:
        """Which provider answered, after how many seconds."""
        began = CLOCK.monotonic()
        response = requests.post(
            f"{self.server.url}/v1/chat/completions",
            headers=self.server.headers(),
            json={"model": "auto", "messages": HELLO, "stream": stream},
            timeout=90,
        )
        assert response.status_code == 200, response.text
        assert "hello" in response.text
        return response.headers["X-Routed-Via"], CLOCK.monotonic() - began


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with FakeProvider() as wild, FakeProvider() as good:
        good.default = says("hello")
        text = config({"wild": wild.base_url, "good": good.base_url}, **TIMES)
        server = Server(tmp_path, text)
        # Loading it holds the loop up once, which is no matter of the providers.
        server.app = ("tests.e2e.whole_app:app",)
        with server:
            before_others(server)
            yield House(wild, server)


def before_others(server: Server) -> None:
    """Where we may: what else the machine does is then no part of what is measured."""
    if os.geteuid() == 0:
        for thread in Path(f"/proc/{server.worker()}/task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(thread.name), -20)


def test_what_is_asserted_here_can_be_seen(house: House) -> None:
    """A worker that does nothing for a while, as one that is held would."""
    worker = house.server.worker()
    for _ in range(3):
        os.kill(worker, signal.SIGSTOP)
        CLOCK.sleep(4 * HELD)
        os.kill(worker, signal.SIGCONT)
        CLOCK.sleep(HELD)
    assert house.gauge("freellmapi_hub_held_worst_seconds") > 2 * HELD


def assert_survived(house: House, wild: Wild, stream: bool) -> None:
    house.wild.default = wild
    before = house.gauge("process_resident_memory_bytes")
    via, seconds = house.ask(stream)
    assert via == "good/m"
    assert seconds < TIME
    assert house.wild.wait_client_gone(), "it was let go"
    assert house.gauge("process_resident_memory_bytes") - before < MEMORY
    late = house.gauge("freellmapi_hub_lag_worst_seconds")
    held = house.gauge("freellmapi_hub_held_worst_seconds")
    ours = f"{held * 1000:.0f} of our own doing"
    sys.stdout.write(f"{seconds:.1f} s, hub late by {late * 1000:.0f} ms at worst, {ours}\n")
    assert held < HELD


@pytest.mark.parametrize("name", WHOLE)
def test_a_wild_answer_costs_little_and_another_provider_answers(house: House, name: str) -> None:
    assert_survived(house, WHOLE[name], stream=False)


@pytest.mark.parametrize("name", STREAMED)
def test_a_wild_stream_costs_little_and_another_provider_answers(house: House, name: str) -> None:
    assert_survived(house, STREAMED[name], stream=True)


def test_a_long_line_within_bounds_is_passed_on(house: House) -> None:
    choice = {"index": 0, "delta": {"content": "hello" + "x" * MB}, "finish_reason": "stop"}
    line = json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": [choice]})
    event = f"data: {line}\n\ndata: [DONE]\n\n".encode()
    house.wild.default = Wild(EVENTS, once(event))
    via, _ = house.ask(stream=True)
    assert via == "wild/m"
