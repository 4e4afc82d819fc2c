"""Several gunicorn workers and a real Redis: one installation, whoever answers."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.server import CLOCK, HELLO, Server, config
from tests.e2e.test_caps import KEYS, at_once
from tests.fakes.provider import Caps, FakeProvider, later, says
from tests.fakes.redis_server import RedisServer

pytestmark = pytest.mark.e2e


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.close()


@pytest.mark.parametrize(
    ("caps", "limits", "answered"),
    [
        pytest.param(Caps(rpm=5), {"rpm": 5}, 20, id="requests a minute"),
        pytest.param(Caps(concurrency=2), {"concurrency": 2}, None, id="at the same time"),
    ],
)
def test_sixty_at_once_exceed_no_cap_of_two_workers(
    tmp_path: Path,
    redis: RedisServer,
    caps: Caps,
    limits: dict[str, int],
    answered: int | None,
) -> None:
    with FakeProvider(limits=caps) as fake:
        fake.default = later(0.2, says("hi", usage=(5, 2)))
        text = config({"lab": fake.base_url}, keys=KEYS, limits=limits, max_wait=0)
        with Server(tmp_path, text, **two_workers(redis)) as server:
            server.until(lambda: ready(server) == {"together"}, "both count together")
            outcomes = at_once(server, 60)
            rows = server.rows()
            assert "Traceback" not in server.log()
        assert fake.violations == 0
        assert len(fake.served) == outcomes[200]
    assert outcomes.keys() <= {200, 429}
    assert outcomes[200] == answered or answered is None
    assert outcomes[200] >= 8
    assert Counter(row.status for row in rows) == outcomes


def test_redis_killed_and_started_again_under_load_passes_no_cap(
    tmp_path: Path, redis: RedisServer
) -> None:
    limits = {"rpm": 40, "concurrency": 6}
    with FakeProvider(limits=Caps(rpm=40, concurrency=6)) as fake:
        fake.default = later(0.05, says("hi", usage=(5, 2)))
        text = config({"lab": fake.base_url}, keys=KEYS, limits=limits, max_wait=2)
        with Server(tmp_path, text, **two_workers(redis)) as server:
            server.until(lambda: ready(server) == {"together"}, "both count together")
            seen: Counter[int] = Counter()
            end = CLOCK.monotonic() + 14

            def ask(_: int) -> None:
                while CLOCK.monotonic() < end:
                    try:
                        client.chat.completions.create(model="auto", messages=HELLO, max_tokens=5)
                        seen[200] += 1
                    except openai.APIStatusError as error:
                        seen[error.status_code] += 1
                    CLOCK.sleep(0.4)

            with server.client() as client, ThreadPoolExecutor(13) as pool:
                asking = [pool.submit(ask, n) for n in range(12)]
                CLOCK.sleep(2)
                redis.kill()
                server.until(lambda: "alone" in ready(server), "a worker notices")
                CLOCK.sleep(2)
                redis.start()
                for each in asking:
                    each.result()
            server.until(lambda: ready(server) == {"together"}, "both count together again")
            assert "Traceback" not in server.log()
    assert fake.violations == 0
    assert seen.keys() <= {200, 429}
    assert seen[200] == len(fake.served)
    assert seen[200] > 40


def test_a_write_to_one_worker_is_in_force_in_all(tmp_path: Path, redis: RedisServer) -> None:
    with FakeProvider() as fake:
        text = config({"lab": fake.base_url}, keys=KEYS[:1])
        with Server(tmp_path, text, **two_workers(redis)) as server:
            server.cli("keys", "disable", "1")

            server.until(
                lambda: {server.get("/readyz").status_code for _ in range(8)} == {503},
                "no worker serves it any more",
            )


def test_several_workers_without_redis_are_refused(tmp_path: Path) -> None:
    server = Server(tmp_path, WEB_CONCURRENCY="2", REDIS_URL="")

    assert server.launch().wait(30) == 2
    assert "set REDIS_URL as well" in server.log()


def two_workers(redis: RedisServer) -> dict[str, str]:
    return {"REDIS_URL": redis.url, "WEB_CONCURRENCY": "2"}


def ready(server: Server) -> set[str]:
    """How the workers count, asked often enough to have asked all."""
    return {server.get("/readyz").json()["counting"] for _ in range(8)}


def test_metrics_add_up_over_workers_and_go_back_for_none(
    tmp_path: Path, redis: RedisServer
) -> None:
    with FakeProvider() as fake:
        text = config({"lab": fake.base_url})
        with Server(tmp_path, text, **two_workers(redis)) as server:
            with server.client() as client:
                for _ in range(12):
                    client.chat.completions.create(model="auto", messages=HELLO)
            server.until(lambda: answered(server) == 12, "every worker's requests are shown")
            assert {answered(server) for _ in range(8)} == {12}
            # Files of workers, named for their process ids.
            assert server.process is not None
            (folder,) = Path("/dev/shm").glob(f"freellmapi-*-{server.process.pid}")
            for file in list(folder.glob("*.told")):
                os.kill(int(file.name.partition("-")[0]), signal.SIGKILL)
            server.until(lambda: is_up(server), "new workers answer")
            assert {answered(server) for _ in range(8)} == {12}
            with server.client() as client:
                client.chat.completions.create(model="auto", messages=HELLO)
            server.until(lambda: answered(server) == 13, "the new one is added")


def answered(server: Server) -> float:
    """Requests answered so far, as whichever worker is asked has it."""
    families = text_string_to_metric_families(server.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return sum(s.value for s in samples if s.name == "freellmapi_requests_total")


def is_up(server: Server) -> bool:
    try:
        return server.get("/healthz").status_code == 200
    except requests.ConnectionError:
        return False
