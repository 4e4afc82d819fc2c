"""Two providers, the first in trouble: the client sees only the second's answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.e2e.server import HELLO, Server, config
from tests.fakes.provider import FakeProvider, Reply, hangs, refuses, resets, says, status

pytestmark = pytest.mark.e2e

# In order: a bench of one case's model must not reach the next case's.
CASES: dict[str, tuple[Reply | None, str]] = {
    "limited": (status(429), "rate_limited"),
    "broken": (status(500), "server_error"),
    "silent": (hangs(), "timeout"),
    "reset": (resets(), "server_error"),
    "refused": (None, "unreachable"),
}


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def server(case: str, tmp_path: Path) -> Iterator[Server]:
    reply = CASES[case][0]
    with FakeProvider() as first, FakeProvider() as second:
        if reply is not None:
            first.default = reply
        second.default = says("from the second")
        urls = {"first": first.base_url if reply else refuses(), "second": second.base_url}
        with Server(tmp_path, config(urls, first_byte_timeout=0.5)) as server:
            yield server


def test_the_second_answers(case: str, server: Server) -> None:
    trail = f"first/m={CASES[case][1]}"
    with server.client() as client:
        for stream in (True, False):
            raw = client.chat.completions.with_raw_response.create(
                model="auto", messages=HELLO, stream=stream, max_tokens=1
            )
            if stream:
                assert raw.headers["X-Fallback-Attempts"] == "1"
                assert raw.headers["X-Fallback-Trail"] == trail
                assert said(raw.parse()) == "from the second"
            assert raw.headers["X-Routed-Via"] == "second/m"
    attempts = server.rows()[0].attempts
    assert [a.error for a in attempts] == [attempts[0].error, None]
    assert attempts[0].error is not None
    assert attempts[0].error.value == CASES[case][1]


def said(stream: object) -> str:
    assert isinstance(stream, openai.Stream)
    return "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
