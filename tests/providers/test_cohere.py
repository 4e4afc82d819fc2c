from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from freellmapi.core.catalog import Model, Provider
from freellmapi.core.chat import Chunk
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.limits import Usage
from freellmapi.providers.cohere import CohereReader, CohereWire
from tests.fakes.clock import FrozenClock

DATA = Path(__file__).parent / "data" / "cohere"
COHERE = Provider(
    id="cohere",
    name="Cohere",
    base_url="https://api.cohere.com/v2",
    wire="cohere",
    chat_path="/chat",
)
MODEL = Model(provider="cohere", id="command-a-plus-05-2026", name="A+", family="command-a-plus")
NOW = 1_790_000_000
TOOLS = frozenset({"get_time"})


def wire() -> CohereWire:
    numbers = count(1)
    return CohereWire(FrozenClock(NOW), new_id=lambda: str(next(numbers)))


def answer(content: object, finish: str = "COMPLETE", **more: Any) -> dict[str, Any]:
    said = [{"type": "text", "text": content}] if isinstance(content, str) else content
    message = {"role": "assistant", "content": said, **more}
    return {"id": "x", "finish_reason": finish, "message": message}


def completed(body: object, tools: frozenset[str] = frozenset()) -> dict[str, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    made = wire().completion(data, {}, COHERE, MODEL, tools).body
    ChatCompletion.model_validate(made, strict=True)
    return made


def sse(*events: object) -> bytes:
    return b"".join(b"data: " + json.dumps(e).encode() + b"\n\n" for e in events)


def drained(reader: CohereReader, data: bytes, size: int = 0) -> list[Chunk]:
    """All chunks of a body that comes ``size`` bytes at a time (0: at once)."""
    step = size or len(data) or 1
    chunks: list[Chunk] = []
    for start in range(0, len(data), step):
        chunks += reader.feed(data[start : start + step])
    chunks += reader.close()
    for chunk in chunks:
        ChatCompletionChunk.model_validate_json(chunk.data, strict=True)
    return chunks


def read(data: bytes, tools: frozenset[str] = frozenset()) -> list[Chunk]:
    return drained(wire().reader(COHERE, MODEL, tools), data)


def deltas(chunks: list[Chunk]) -> list[dict[str, Any]]:
    found = [json.loads(c.data)["choices"] for c in chunks]
    return [choices[0]["delta"] for choices in found if choices]


def said(text: str, index: int = 0) -> dict[str, Any]:
    delta = {"message": {"content": {"text": text}}}
    return {"type": "content-delta", "index": index, "delta": delta}


def end(finish: str | None = "COMPLETE", **delta: Any) -> dict[str, Any]:
    usage = {"tokens": {"input_tokens": 4, "output_tokens": 2}}
    return {"type": "message-end", "delta": {"finish_reason": finish, "usage": usage, **delta}}


def test_a_whole_answer_with_plan_and_call() -> None:
    made = completed((DATA / "answer_tool_call.json").read_bytes(), TOOLS)
    assert made["id"] == "x1"
    assert (made["created"], made["model"]) == (NOW, MODEL.id)
    choice = made["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "reasoning_content": "I will check the clock.",
        "tool_calls": [
            {
                "id": "t1",
                "type": "function",
                "function": {"name": "get_time", "arguments": '{"city":"Oslo"}'},
            }
        ],
    }
    assert made["usage"]["prompt_tokens"] == 310, "what the model saw, not what is billed"
    assert made["usage"]["total_tokens"] == 334
    assert made["usage"]["prompt_tokens_details"] == {"cached_tokens": 16}


def test_thinking_log_probabilities_and_billed_usage() -> None:
    made = completed((DATA / "answer_thinking.json").read_bytes())
    choice = made["choices"][0]
    assert choice["message"]["reasoning_content"] == "Clocks say so."
    assert choice["message"]["content"] == "14:05"
    assert [(t["token"], t["logprob"]) for t in choice["logprobs"]["content"]] == [
        ("14", -0.25),
        (":05", -0.75),
    ]
    assert made["usage"]["total_tokens"] == 7


FINISHES = [
    ("COMPLETE", "stop"),
    ("STOP_SEQUENCE", "stop"),
    ("MAX_TOKENS", "length"),
    ("TOOL_CALL", "stop"),
    ("ERROR_TOXIC", "content_filter"),
    ("SOMETHING_NEW", "stop"),
]


@pytest.mark.parametrize(("reason", "finish"), FINISHES)
def test_finish_reasons(reason: str, finish: str) -> None:
    assert completed(answer("a", reason))["choices"][0]["finish_reason"] == finish
    assert [c.finish for c in read(sse(said("a"), end(reason))) if c.finish] == [finish]


@pytest.mark.parametrize("reason", ["ERROR", "TIMEOUT", "ERROR_LIMIT"])
def test_an_answer_that_failed_is_a_failure(reason: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        completed(answer("a", reason))
    assert caught.value.kind is ErrorKind.SERVER_ERROR
    reader = wire().reader(COHERE, MODEL)
    assert "".join(c.text for c in reader.feed(sse(said("a"), end(reason)))) == "a"
    assert reader.ended
    with pytest.raises(UpstreamError):
        reader.close()


BAD = [
    ("empty", b""),
    ("not JSON", b"oops"),
    ("a page", b"<html>Bad gateway</html>"),
    ("a list", b"[1]"),
    ("nothing in it", b"{}"),
    ("nothing said", json.dumps(answer("")).encode()),
]


@pytest.mark.parametrize("body", [b[1] for b in BAD], ids=[b[0] for b in BAD])
def test_what_is_no_answer_is_a_bad_one(body: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        completed(body)
    assert caught.value.kind is ErrorKind.BAD_ANSWER


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("internal server error, this has been reported", "server_error"),
        ("too many tokens: size limit exceeded by 402 tokens.", "context_too_long"),
    ],
)
def test_errors_inside_a_200_are_classified(message: str, kind: str) -> None:
    bodies = [{"id": "1", "message": message}, end("ERROR", error=message)]
    for body in bodies:
        with pytest.raises(UpstreamError) as caught:
            read(sse(body))
        assert caught.value.kind.value == kind
        assert caught.value.message.startswith(message[:20])


def test_a_streamed_text() -> None:
    reader = wire().reader(COHERE, MODEL)
    chunks = drained(reader, (DATA / "stream_text.sse").read_bytes())
    assert [c.text for c in chunks] == ["", "", "Hé", "llo 世", "", ""]
    assert [c.reasoning for c in chunks] == [False, True, False, False, False, False]
    assert deltas(chunks)[0] == {"role": "assistant"}
    assert deltas(chunks)[1]["reasoning_content"] == "Thinking it over."
    assert json.loads(chunks[2].data)["choices"][0]["logprobs"]["content"][0]["logprob"] == -0.5
    assert [c.finish for c in chunks] == [None, None, None, None, "stop", None]
    assert chunks[-1].usage_only
    assert chunks[-1].usage == Usage(40, 5)
    assert {json.loads(c.data)["id"] for c in chunks} == {"s1"}
    assert reader.ended


def test_parallel_calls_of_an_event_each() -> None:
    chunks = read((DATA / "stream_parallel_calls.sse").read_bytes(), TOOLS)
    calls = [call for delta in deltas(chunks) for call in delta.get("tool_calls", ())]
    assert [(c["index"], c.get("id"), c["function"].get("name")) for c in calls] == [
        (0, "t1", "get_time"),
        (0, None, None),
        (0, None, None),
        (1, "t2", "get_time"),
        (1, None, None),
    ]
    assert "".join(c["function"]["arguments"] for c in calls) == '{"city":"Oslo"}{}'
    reasoning = "".join(d.get("reasoning_content", "") for d in deltas(chunks))
    assert reasoning == "I will check."
    assert [c.finish for c in chunks if c.finish] == ["tool_calls"]


def test_a_call_is_named_as_it_was_declared() -> None:
    call = {"id": "t", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
    tools = frozenset({"get-time"})
    made = completed(answer([], "TOOL_CALL", tool_calls=[call]), tools)
    assert made["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "get-time"
    start = {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": call}}}
    chunks = read(sse(start, end("TOOL_CALL")), tools)
    assert deltas(chunks)[0]["tool_calls"][0]["function"]["name"] == "get-time"


def test_a_call_written_as_text_is_rescued() -> None:
    text = '<tool_call>{"name": "get_time", "arguments": {}}</tool_call>'
    assert completed(answer(text), TOOLS)["choices"][0]["finish_reason"] == "tool_calls"
    chunks = read(sse(said(text[:20]), said(text[20:]), end()), TOOLS)
    assert [c.finish for c in chunks if c.finish] == ["tool_calls"]


def test_a_stream_that_breaks_off_has_not_ended() -> None:
    reader = wire().reader(COHERE, MODEL)
    chunks = drained(reader, sse(said("Hel")))
    assert not reader.ended
    assert [c.finish for c in chunks] == [None]


def test_a_whole_answer_to_a_stream_is_cut_up() -> None:
    reader = wire().reader(COHERE, MODEL)
    data = (DATA / "answer_thinking.json").read_bytes()
    chunks = drained(reader, data)
    assert "".join(c.text for c in chunks) == "14:05"
    assert chunks[-1].usage == Usage(4, 3)
    assert reader.ended


STREAMS = [
    (DATA / "stream_text.sse").read_bytes(),
    (DATA / "stream_parallel_calls.sse").read_bytes(),
    sse(said("good"), {"id": "1", "message": "internal server error"}),
    sse(said("<think>hm</th"), said("ink>Yes"), end()),
    (DATA / "answer_thinking.json").read_bytes(),
]


@settings(max_examples=200, deadline=None)
@given(data=st.data(), stream=st.sampled_from(STREAMS))
def test_chunks_are_the_same_however_the_bytes_are_split(
    data: st.DataObject, stream: bytes
) -> None:
    places = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    pieces = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    assert outcome(pieces) == outcome([stream])


def outcome(pieces: list[bytes]) -> tuple[list[Chunk], bool, ErrorKind | None]:
    reader = wire().reader(COHERE, MODEL, TOOLS)
    chunks: list[Chunk] = []
    try:
        for piece in pieces:
            chunks += reader.feed(piece)
        chunks += reader.close()
    except UpstreamError as error:
        return chunks, reader.ended, error.kind
    return chunks, reader.ended, None


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                "message content text thinking tool_calls function name arguments delta usage "
                "tokens input_tokens finish_reason logprobs tool_plan id index error".split()
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=20,
)
KINDS = st.sampled_from(
    ["message-start", "content-delta", "tool-call-start", "tool-call-delta", "message-end", "new"]
)


@settings(max_examples=300, deadline=None)
@given(JSON, KINDS)
def test_no_json_whatever_breaks_the_reading(body: Any, kind: str) -> None:
    try:
        completed(body)
    except UpstreamError:
        pass
    event = {**body, "type": kind} if isinstance(body, dict) else body
    for chunk in outcome([sse(event)])[0]:
        ChatCompletionChunk.model_validate_json(chunk.data, strict=True)
