"""Streams that survive their provider: what the client reads is one uninterrupted answer."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import orjson
import pytest

from freellmapi.core.chat import Chunk
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.limits import Limits
from freellmapi.core.route import TokenStream
from freellmapi.router.continuation import is_resumable
from freellmapi.router.execute import Execution
from freellmapi.router.served import ServedStream
from freellmapi.router.stream import Rechunked
from tests.fakes.answers import Cut
from tests.fakes.provider import (
    FakeProvider,
    Reply,
    calls_tool,
    errors_in_band,
    says,
    stalls,
    status,
    streams,
)
from tests.router.conftest import QUICK, Lab, chat, model, provider, snapshot

ANSWER = ("The capital", " of France", " is Paris", " and that of", " Italy is Rome.")


class Stage:
    """Two providers, and a request whose stream begins at the first."""

    def __init__(self, alpha: FakeProvider, beta: FakeProvider, lab: Lab) -> None:
        self.alpha, self.beta, self.lab = alpha, beta, lab
        self.ends: list[UpstreamError | None] = []

    def opens(self, *first: Reply, then: tuple[Reply, ...] = (), **fields: Any) -> TokenStream:
        self.alpha.script, self.beta.script = list(first), list(then)
        request = chat(stream=True, prompt_tokens=11, **fields)
        lab = self.lab
        self.execution = Execution(lab.tools, request, lab.snapshot.settings, lab.cancel)
        outcome = self.execution.run(lab.plan(request))
        assert outcome.stream is not None

        def resume(said: str) -> tuple[TokenStream, str]:
            return self.execution.resume(lab.plan(request), said)

        return ServedStream(outcome.stream, 11, resume, self.ends.append)

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The messages that the second provider was given, beyond the request's own."""
        return [m for r in self.beta.requests for m in r.json["messages"][1:]]

    @property
    def errors(self) -> list[ErrorKind | None]:
        return [a.error for a in self.execution.outcome.attempts]


@pytest.fixture
def stage(labs: list[Lab]) -> Iterator[Stage]:
    with ExitStack() as stack:
        alpha, beta = (stack.enter_context(FakeProvider()) for _ in range(2))
        world = snapshot(
            *(model(name, limits=Limits(rpm=50)) for name in ("alpha", "beta")),
            providers=[provider("alpha", alpha.base_url), provider("beta", beta.base_url)],
            settings=replace(QUICK, ping_interval=5),
        )
        labs.append(Lab(world))
        yield Stage(alpha, beta, labs[0])


def read(stream: TokenStream) -> list[Chunk]:
    return [chunk for batch in stream for chunk in batch]


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


DEATHS = {
    "reset": lambda: streams(*ANSWER, cut=3),
    "stall": lambda: stalls(*ANSWER, after=3),
    "error in the stream": lambda: errors_in_band({"message": "boom", "code": 500}, after=3),
    "ends without a finish": lambda: streams(*ANSWER[:3], finish=None, no_done=True),
}


@pytest.mark.parametrize("death", list(DEATHS))
def test_another_provider_goes_on_and_the_client_sees_one_answer(stage: Stage, death: str) -> None:
    rest = streams(*ANSWER[3:], usage=(20, 6))
    chunks = read(stage.opens(DEATHS[death](), then=(rest,)))

    said = text(chunks)
    assert said.endswith(" and that of Italy is Rome.")
    assert said.count("Italy") == 1
    comments = [c.comment for c in chunks if c.comment]
    assert comments == ["resumed on beta/m"]
    assert [c.finish for c in chunks if c.finish] == ["stop"]
    whole = [orjson.loads(c.data) for c in chunks if c.data]
    assert len({(c["id"], c["created"], c["model"]) for c in whole}) == 1
    assert sum(1 for c in whole if c["choices"] and c["choices"][0]["delta"].get("role")) == 1
    assert stage.errors == [ErrorKind.STREAM_BROKEN, None]
    assert stage.ends == [None]


def test_the_rest_is_asked_for_by_a_prefill(stage: Stage) -> None:
    read(stage.opens(streams(*ANSWER, cut=3), then=(streams(*ANSWER[3:]),)))
    assert stage.asked == [{"role": "assistant", "content": "".join(ANSWER[:3])}]


def test_one_that_refuses_a_prefill_is_asked_again_in_words(stage: Stage) -> None:
    refusal = status(400, {"error": {"message": "last message must be from user"}})
    chunks = read(stage.opens(streams(*ANSWER, cut=3), then=(refusal, streams(*ANSWER[3:]))))

    assert text(chunks) == "".join(ANSWER)
    *_, partial, instruction = stage.asked
    assert partial["role"] == "assistant"
    assert instruction["role"] == "user"
    assert stage.errors == [ErrorKind.STREAM_BROKEN, ErrorKind.REQUEST_REFUSED, None]


@pytest.mark.parametrize(
    "again",
    [(" is Paris", " and that of", " Italy is Rome."), ANSWER],
    ids=["the last words", "the whole answer from its beginning"],
)
def test_what_the_second_repeats_is_left_out(stage: Stage, again: tuple[str, ...]) -> None:
    chunks = read(stage.opens(streams(*ANSWER, cut=3), then=(streams(*again),)))
    assert text(chunks) == "".join(ANSWER)


def test_usage_is_that_of_the_whole(stage: Stage) -> None:
    chunks = read(stage.opens(streams(*ANSWER, cut=3), then=(streams(*ANSWER[3:], usage=(20, 6)),)))
    (usage,) = [c.usage for c in chunks if c.usage_only]
    assert usage is not None
    assert usage.prompt_tokens >= 11
    assert usage.completion_tokens > 6
    assert not usage.exact


def test_a_second_death_is_survived_too(stage: Stage) -> None:
    chunks = read(
        stage.opens(
            streams(*ANSWER, cut=2),
            streams(*ANSWER[4:]),
            then=(streams(*ANSWER[2:], cut=2),),
        )
    )
    assert text(chunks) == "".join(ANSWER)
    assert [c.comment for c in chunks if c.comment] == ["resumed on beta/m", "resumed on alpha/m"]


def test_when_nobody_can_go_on_the_stream_ends_with_the_error(stage: Stage) -> None:
    stream = stage.opens(streams(*ANSWER, cut=3), then=(status(500), status(500)))
    stage.alpha.default = status(500)
    stage.beta.default = status(500)
    seen: list[Chunk] = []
    with pytest.raises(UpstreamError, match="nobody could go on"):
        for batch in stream:
            seen += batch
    assert text(seen) == "".join(ANSWER[:3])
    assert not [c for c in seen if c.finish]
    assert [e.kind if e else None for e in stage.ends] == [ErrorKind.STREAM_BROKEN]


def test_a_tool_call_is_never_continued(stage: Stage) -> None:
    call = calls_tool("f", {"a": 1})
    cut_short = replace(call, steps=(*call.steps[:2], Cut()))
    stream = stage.opens(cut_short, tools=frozenset({"f"}))
    with pytest.raises(UpstreamError):
        read(stream)
    assert stage.beta.requests == []


def test_closing_ends_it_once(stage: Stage) -> None:
    stream = stage.opens(stalls(*ANSWER, after=3))
    next(stream)
    stream.close()
    stream.close()
    assert [e.kind if e else None for e in stage.ends] == [ErrorKind.CLIENT_GONE]
    assert stage.alpha.wait_client_gone(2)


def test_a_stream_that_is_closed_after_its_finish_was_whole(stage: Stage) -> None:
    stream = stage.opens(says("hi"))
    while not any(c.finish for c in next(stream)):
        pass
    stream.close()
    assert stage.ends == [None]


@pytest.mark.parametrize(
    ("body", "resumable"),
    [
        ({}, True),
        ({"tools": [{}]}, True),
        ({"response_format": {"type": "json_object"}}, False),
        ({"logprobs": True}, False),
    ],
)
def test_json_and_logprobs_cannot_be_joined(body: dict[str, Any], resumable: bool) -> None:
    request = chat(stream=True)
    assert is_resumable(replace(request, body={**request.body, **body})) is resumable


def test_what_was_said_takes_no_more_than_its_text() -> None:
    """It is kept while the stream lasts, for who may have to go on with it."""
    tokens = ([Chunk(b"{}", f" w{n % 10}")] for n in range(4_001))

    def resume(said: str) -> tuple[TokenStream, str]:
        raise AssertionError(said)

    stream = ServedStream(Rechunked(tokens), 11, resume, lambda error: None)
    next(stream)
    tracemalloc.start()
    try:
        for _ in range(4_000):
            next(stream)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 10 * 4_000
