"""Ends of every kind: nothing that was answered is forgotten."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest
import requests

from tests.e2e.server import HELLO, Server, config
from tests.fakes.provider import FakeProvider, drips, hangs, later, says

pytestmark = pytest.mark.e2e

CAP = 60
CLIENTS = 4
BEFORE_THE_KILL = 25


def test_kill_9_under_load_forgets_no_answer_and_no_count(tmp_path: Path) -> None:
    with FakeProvider() as fake:
        fake.default = later(0.02, says("hi"))
        # What comes later than that is under way when the server dies.
        fake.chooser = lambda _: hangs() if len(fake.requests) > BEFORE_THE_KILL else None
        text = config({"lab": fake.base_url}, limits={"rpd": CAP}, max_wait=0)
        with Server(tmp_path, text) as server:
            answered = killed_under_load(fake, server)
            fake.chooser = None
            server.start()
            rows = {row.request_id: row for row in server.rows()}
            assert answered <= rows.keys()
            counted = sum(a.spent for row in rows.values() for a in row.attempts)
            assert BEFORE_THE_KILL <= counted < CAP
            # Redis knows of the calls that were under way, too.
            under_way = CLIENTS if "REDIS_URL" in server.environ else 0
            assert answered_until_429(server) == CAP - counted - under_way


def killed_under_load(fake: FakeProvider, server: Server) -> set[str]:
    """The ids of the requests whose whole answer arrived before the kill."""
    answered: set[str] = set()
    enough = threading.Event()

    def ask_on() -> None:
        with server.client() as client:
            while True:
                try:
                    raw = client.chat.completions.with_raw_response.create(
                        model="auto", messages=HELLO
                    )
                except openai.APIConnectionError:
                    return
                answered.add(raw.headers["X-Request-Id"])
                if len(answered) >= BEFORE_THE_KILL:
                    enough.set()

    with ThreadPoolExecutor(CLIENTS) as pool:
        asking = [pool.submit(ask_on) for _ in range(CLIENTS)]
        assert enough.wait(30)
        assert fake.wait_requests(BEFORE_THE_KILL + CLIENTS, 30)
        server.kill()
        for each in asking:
            each.result(30)
    return answered


def answered_until_429(server: Server) -> int:
    with server.client() as client:
        for count in range(CAP + 1):
            try:
                client.chat.completions.create(model="auto", messages=HELLO)
            except openai.RateLimitError:
                return count
    raise AssertionError("the cap is not kept")


def test_a_stop_lets_a_live_stream_end(tmp_path: Path) -> None:
    gate = threading.Event()
    with FakeProvider() as fake:
        fake.default = drips("first", "second", gate=gate)
        with Server(tmp_path, config({"alpha": fake.base_url})) as server:
            process = server.process
            assert process is not None
            with server.client() as client:
                stream = client.chat.completions.create(model="auto", messages=HELLO, stream=True)
                with stream:
                    texts = (c.choices[0].delta.content for c in stream if c.choices)
                    assert next(text for text in texts if text) == "first"
                    process.send_signal(signal.SIGTERM)
                    server.until(lambda: not listens(server), "nobody new is let in")
                    gate.set()
                    assert [text for text in texts if text] == ["second"]
            assert process.wait(40) == 0
            assert [row.status for row in server.rows()] == [200]


def listens(server: Server) -> bool:
    try:
        requests.get(f"{server.url}/healthz", timeout=10)
    except requests.ConnectionError:
        return False
    return True
