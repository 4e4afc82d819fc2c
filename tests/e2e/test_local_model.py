"""A real answer with no key and no network: the small model on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai.types.chat import ChatCompletionUserMessageParam

from freellmapi.core.errors import ErrorKind
from freellmapi.providers.catalog import load_catalog
from freellmapi.providers.local import ENGINE_MODULE, PACKAGED_MODULE, is_installed
from tests.e2e.server import Server
from tests.fakes.provider import refuses

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.local_model,
    pytest.mark.skipif(
        not (is_installed(ENGINE_MODULE) and is_installed(PACKAGED_MODULE)),
        reason="the 'local' extra is not installed",
    ),
]

MODEL = "local/gemma-3-270m"
ASK: list[ChatCompletionUserMessageParam] = [
    {"role": "user", "content": "What is the capital of France? Answer in one word."}
]
START = 120.0
"""Seconds: the model's first answer includes its start, on a machine with other work."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    text = f'chain = ["{MODEL}"]\n[settings]\nlast_first_byte_timeout = {START}\n'
    with Server(tmp_path_factory.mktemp("local"), text) as server:
        yield server


def test_auto_answers_whole(server: Server) -> None:
    with server.client(START) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="auto", messages=ASK, max_tokens=24, temperature=0
        )
    answer = raw.parse()
    assert raw.headers["X-Routed-Via"] == MODEL
    assert "X-Fallback-Attempts" not in raw.headers
    assert "paris" in (answer.choices[0].message.content or "").lower()
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0


def test_auto_answers_streamed(server: Server) -> None:
    with server.client(START) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="auto", messages=ASK, max_tokens=24, temperature=0, stream=True
        )
        with raw.parse() as stream:
            chunks = list(stream)
    texts = [c.choices[0].delta.content for c in chunks if c.choices]
    assert raw.headers["X-Routed-Via"] == MODEL
    assert "paris" in "".join(text or "" for text in texts).lower()
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] in ("stop", "length")


def test_a_fresh_installation_without_network_answers_in_the_end(tmp_path: Path) -> None:
    catalog = load_catalog()
    keyless = [p.id for p in catalog.providers.values() if p.keyless and p.id != "local"]
    out_of_reach = {f"FREELLMAPI_{name.upper()}_BASE_URL": refuses() for name in keyless}
    with Server(tmp_path, **out_of_reach) as server, server.client(START) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="auto", messages=ASK, max_tokens=8
        )
        assert raw.headers["X-Routed-Via"] == MODEL
        *failed, answered = server.rows()[0].attempts
    assert answered.ref == MODEL
    assert {a.error for a in failed} == {ErrorKind.UNREACHABLE}
    assert {a.provider for a in failed} <= set(keyless)
    assert len(failed) <= 2 * len(keyless)
    assert sum(a.duration for a in failed) < 10, "refused connections cost milliseconds"
