"""What one client's bad request, or a misleading refusal, may not do to everybody else."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import openai
import pytest

from tests.e2e.server import CLOCK, Server
from tests.e2e.stage import Part, Seen, Stage, ask
from tests.fakes.answers import Reply
from tests.fakes.provider import FakeProvider, says, status
from tests.fakes.wire import Connection, SeenRequest

pytestmark = pytest.mark.e2e

POISON: list[Any] = [{"role": "user", "content": "poison"}]
REASON = "tools.0.function.parameters: not a valid schema"
SEVERAL = pytest.mark.parametrize("providers", [1, 2, 5])
STREAMED = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


class Choosy:
    """Refuses poison, answers everything else."""

    def __init__(self, code: int) -> None:
        self.refusal = status(code, {"error": {"message": REASON, "type": "invalid"}})

    def play(self, conn: Connection, request: SeenRequest) -> None:
        reply: Reply = self.refusal if b"poison" in request.body else says("good")
        reply.play(conn, request)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Server]]:
    with FakeProvider() as fake:
        stage = Stage(fake, 1, 2, 5, count=16)
        text = stage.config(max_wait=5)
        with Server(tmp_path_factory.mktemp("poison"), text) as server:
            yield stage, server


@pytest.fixture
def stage(running: tuple[Stage, Server]) -> Stage:
    return running[0]


@pytest.fixture
def server(running: tuple[Stage, Server]) -> Server:
    return running[1]


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with server.client() as client:
        yield client


def choosy(stage: Stage, providers: int, code: int = 400) -> tuple[str, list[Part]]:
    model, parts = stage.cast(providers)
    for part in parts:
        part.default = Choosy(code)
    return model, parts


def assert_refused(seen: Seen) -> None:
    assert isinstance(seen.error, openai.BadRequestError)
    assert seen.code == "request_refused"
    assert REASON in str(seen.error)
    assert seen.retry_after is None


def assert_good(seen: Seen, model: str, by: Part) -> None:
    assert (seen.text, seen.finish) == ("good", "stop")
    assert (seen.failed, seen.via) == (0, f"{by.name}/{model}")


@SEVERAL
@STREAMED
@pytest.mark.parametrize("code", [400, 422])
def test_poison_refused_by_all_leaves_the_way_free(
    stage: Stage, client: openai.OpenAI, providers: int, stream: bool, code: int
) -> None:
    model, parts = choosy(stage, providers, code)
    for _ in range(3):
        assert_refused(ask(client, model, stream=stream, messages=POISON))
        assert_good(ask(client, model, stream=stream), model, parts[0])
    assert sum(len(part.requests) for part in parts) == 3 * (min(providers, 3) + 1)


def test_poison_among_good_requests_at_the_same_time(stage: Stage, client: openai.OpenAI) -> None:
    model, parts = choosy(stage, 2)

    def one(number: int) -> None:
        if number % 2:
            assert_refused(ask(client, model, stream=bool(number % 4 > 1), messages=POISON))
        else:
            assert_good(ask(client, model, stream=bool(number % 4 > 1)), model, parts[0])

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(one, range(60)))


USED = (
    "Rate limit reached for model `m` in organization `org_1` on tokens per minute (TPM): "
    "Limit 12000, Used 11402, Requested 1021."
)


@STREAMED
def test_used_11402_is_a_short_bench(
    stage: Stage, server: Server, client: openai.OpenAI, stream: bool
) -> None:
    """The 402 in the number is no matter of credit: it is over when the provider says so."""
    error = {"message": f"{USED} Please try again in 2.115s.", "type": "tokens"}
    refusal = status(429, {"error": error | {"code": "rate_limit_exceeded"}})
    model, (lone,) = stage.cast(1)
    lone.script = [refusal]
    seen = ask(client, model, stream=stream)
    assert seen.is_whole, seen
    assert 2 < seen.seconds < 5
    assert attempts(server, seen) == ["rate_limited", None]

    model, parts = stage.cast(2)
    parts[0].script = [refusal]
    for turn in count():
        seen = ask(client, model, stream=stream)
        assert seen.is_whole, seen
        if turn and seen.via.startswith(parts[0].name):
            break
        assert turn < 200
        CLOCK.sleep(0.05)
    assert len(parts[0].requests) == 2


def test_used_11402_without_a_time_is_a_minute(stage: Stage, client: openai.OpenAI) -> None:
    model, (lone,) = stage.cast(1)
    lone.default = status(429, {"error": {"message": USED, "type": "tokens", "code": None}})
    seen = ask(client, model, stream=False)
    assert isinstance(seen.error, openai.RateLimitError)
    assert seen.code == "rate_limited"
    assert 50 < (seen.retry_after or 0) <= 61


def attempts(server: Server, seen: Seen) -> list[str | None]:
    (row,) = (r for r in server.rows() if r.request_id == seen.request_id)
    return [a.error.value if a.error else None for a in row.attempts]
