"""Caps under load: the provider enforces them truly, and is never asked for more."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest

from tests.e2e.server import HELLO, Server, config
from tests.fakes.provider import Caps, FakeProvider, later, says

pytestmark = pytest.mark.e2e

KEYS = [("lab", f"key-{n}") for n in range(4)]


@pytest.mark.parametrize(
    ("caps", "limits", "answered"),
    [
        pytest.param(Caps(rpm=10), {"rpm": 10}, 40, id="requests a minute"),
        pytest.param(Caps(concurrency=3), {"concurrency": 3}, None, id="at the same time"),
    ],
)
def test_a_hundred_at_once_exceed_no_cap(
    tmp_path: Path, caps: Caps, limits: dict[str, int], answered: int | None
) -> None:
    with FakeProvider(limits=caps) as fake:
        fake.default = later(0.2, says("hi", usage=(5, 2)))
        text = config({"lab": fake.base_url}, keys=KEYS, limits=limits, max_wait=0)
        with Server(tmp_path, text) as server:
            outcomes = at_once(server, 100)
            rows = server.rows()
        assert fake.violations == 0
        assert len(fake.served) == outcomes[200]
        assert {call.key for call in fake.served} == {key for _, key in KEYS}
    assert outcomes.keys() <= {200, 429}
    assert outcomes[200] == answered or answered is None
    assert outcomes[200] >= 12
    assert Counter(row.status for row in rows) == outcomes


def at_once(server: Server, count: int) -> Counter[int]:
    """The statuses of so many requests; every 429 says when to come back, or that all is used."""

    def ask(_: int) -> int:
        try:
            client.chat.completions.create(model="auto", messages=HELLO, max_tokens=5)
        except openai.RateLimitError as error:
            assert int(error.response.headers["Retry-After"]) >= 1
            return 429
        return 200

    with server.client() as client, ThreadPoolExecutor(count) as pool:
        return Counter(pool.map(ask, range(count)))
