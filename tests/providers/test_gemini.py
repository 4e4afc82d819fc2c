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
from freellmapi.core.chat import ChatRequest, Chunk
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.limits import Usage
from freellmapi.providers.gemini import GeminiReader, GeminiWire
from freellmapi.providers.signatures import NO_SIGNATURE
from tests.fakes.clock import FrozenClock

DATA = Path(__file__).parent / "data" / "gemini"
GOOGLE = Provider(id="google", name="Google", base_url="http://x/v1beta", wire="gemini")
FLASH = Model(provider="google", id="gemini-3.5-flash", name="F", family="gemini-3.5-flash")
NEWER = Model(provider="google", id="gemini-3.8-flash", name="N", family="gemini-3.8-flash")
NOW = 1_790_000_000

FINISHES = [
    ("STOP", "stop"),
    ("FINISH_REASON_UNSPECIFIED", "stop"),
    ("OTHER", "stop"),
    ("SOMETHING_NEW", "stop"),
    ("MAX_TOKENS", "length"),
    ("CONTINUATION", "length"),
    ("SAFETY", "content_filter"),
    ("RECITATION", "content_filter"),
    ("BLOCKLIST", "content_filter"),
    ("PROHIBITED_CONTENT", "content_filter"),
    ("SPII", "content_filter"),
    ("LANGUAGE", "content_filter"),
    ("IMAGE_SAFETY", "content_filter"),
    ("MODEL_ARMOR", "content_filter"),
]
FAULTS = [
    "MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MISSING_THOUGHT_SIGNATURE",
    "MALFORMED_RESPONSE",
]


def wire() -> GeminiWire:
    numbers = count(1)
    return GeminiWire(FrozenClock(NOW), new_id=lambda: f"call_{next(numbers)}")


def payload(*parts: dict[str, Any], finish: str | None = "STOP", **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": list(parts)}}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], **more}


def completed(
    body: object, through: GeminiWire | None = None, tools: frozenset[str] = frozenset()
) -> dict[str, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    made = (through or wire()).completion(data, {}, GOOGLE, FLASH, tools).body
    ChatCompletion.model_validate(made, strict=True)
    return made


def message(body: object, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = completed(body, **more)["choices"][0]["message"]
    return made


def sse(*events: object) -> bytes:
    return b"".join(b"data: " + json.dumps(e).encode() + b"\r\n\r\n" for e in events)


def read(data: bytes, through: GeminiWire | None = None, size: int = 0) -> list[Chunk]:
    """All chunks of a body that comes ``size`` bytes at a time (0: at once)."""
    return drained((through or wire()).reader(GOOGLE, FLASH), data, size)


def drained(reader: GeminiReader, data: bytes, size: int = 0) -> list[Chunk]:
    step = size or len(data) or 1
    chunks: list[Chunk] = []
    for start in range(0, len(data), step):
        chunks += reader.feed(data[start : start + step])
    chunks += reader.close()
    for chunk in chunks:
        ChatCompletionChunk.model_validate_json(chunk.data, strict=True)
    return chunks


def deltas(chunks: list[Chunk]) -> list[dict[str, Any]]:
    found = [json.loads(c.data)["choices"] for c in chunks]
    return [choices[0]["delta"] for choices in found if choices]


def test_a_whole_answer_with_thought_and_call() -> None:
    made = completed((DATA / "answer_tool_call.json").read_bytes())
    assert made == {
        "id": "r1",
        "object": "chat.completion",
        "created": NOW,
        "model": "gemini-3.5-flash",
        "choices": [
            {
                "index": 0,
                "logprobs": None,
                "finish_reason": "tool_calls",
                "message": {
                    "role": "assistant",
                    "content": None,
                    "reasoning_content": "I should look it up.",
                    "tool_calls": [
                        {
                            "id": "fc1",
                            "type": "function",
                            "function": {"name": "get_time", "arguments": '{"city":"Oslo"}'},
                            "extra_content": {"google": {"thought_signature": "QUJD"}},
                        }
                    ],
                },
            }
        ],
        "usage": {
            "prompt_tokens": 30,
            "completion_tokens": 29,
            "total_tokens": 59,
            "completion_tokens_details": {"reasoning_tokens": 21},
            "prompt_tokens_details": {"cached_tokens": 5},
        },
    }


def test_texts_are_joined_and_odd_parts_passed_over() -> None:
    parts: list[dict[str, Any]] = [
        {"text": "a"},
        {"executableCode": {}},
        {"text": None},
        {"text": "b"},
    ]
    assert message(payload(*parts))["content"] == "ab"


def test_thinking_written_as_text_is_reasoning() -> None:
    made = message(payload({"text": "<think>hm</think>Yes"}))
    assert (made["reasoning_content"], made["content"]) == ("hm", "Yes")


def test_tools_used_by_google_count_as_prompt() -> None:
    counts = {"promptTokenCount": 5, "toolUsePromptTokenCount": 7, "candidatesTokenCount": 2}
    body = json.dumps(payload({"text": "a"}, usageMetadata=counts)).encode()
    assert wire().completion(body, {}, GOOGLE, FLASH).usage == Usage(12, 2)


@pytest.mark.parametrize(("reason", "finish"), FINISHES)
def test_finish_reasons(reason: str, finish: str) -> None:
    body = payload({"text": "a"}, finish=reason)
    assert completed(body)["choices"][0]["finish_reason"] == finish
    assert [c.finish for c in read(sse(body)) if c.finish] == [finish]


@pytest.mark.parametrize("reason", FAULTS)
def test_the_models_own_faults_are_bad_answers(reason: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        completed(payload({"text": "a"}, finish=reason))
    assert caught.value.kind is ErrorKind.BAD_ANSWER
    with pytest.raises(UpstreamError):
        read(sse(payload(finish=reason)))


@pytest.mark.parametrize("reason", ["MAX_TOKENS", "SAFETY"])
def test_nothing_said_but_rightly_so(reason: str) -> None:
    assert message(payload(finish=reason))["content"] == ""
    assert read(sse(payload(finish=reason)))[0].finish is not None


def test_a_blocked_prompt_is_an_answer() -> None:
    body = (DATA / "blocked_prompt.json").read_bytes()
    made = completed(body)
    assert made["choices"][0]["finish_reason"] == "content_filter"
    assert made["choices"][0]["message"]["content"] == ""
    assert made["usage"]["prompt_tokens"] == 9
    reader = wire().reader(GOOGLE, FLASH)
    chunks = drained(reader, b"data: " + body.strip() + b"\r\n\r\n")
    assert [c.finish for c in chunks] == ["content_filter", None]
    assert deltas(chunks) == [{"role": "assistant", "content": ""}]
    assert reader.ended


BAD = [
    ("empty", b""),
    ("not JSON", b"oops"),
    ("a page", b"<html>Bad gateway</html>"),
    ("a number", b"7"),
    ("an empty list", b"[]"),
    ("no candidates", b"{}"),
    ("no end", json.dumps(payload({"text": "a"}, finish=None)).encode()),
    ("nothing said", json.dumps(payload()).encode()),
    ("no content", b'{"candidates":[{"finishReason":"STOP"}]}'),
    ("odd types", b'{"candidates":[{"content":{"parts":[{"text":1},2]},"finishReason":"STOP"}]}'),
    ("a call without a name", json.dumps(payload({"functionCall": {"args": {}}})).encode()),
]


@pytest.mark.parametrize("body", [b[1] for b in BAD], ids=[b[0] for b in BAD])
def test_what_is_no_answer_is_a_bad_one(body: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        completed(body)
    assert caught.value.kind is ErrorKind.BAD_ANSWER


def test_errors_in_the_body_are_classified_plain_or_in_a_list() -> None:
    error = json.loads((DATA / "error_quota.json").read_bytes())
    for body in (error, [error]):
        with pytest.raises(UpstreamError) as caught:
            completed(body)
        assert caught.value.kind is not ErrorKind.BAD_ANSWER
        for data in (sse(body), json.dumps(body, indent=2).encode()):
            with pytest.raises(UpstreamError) as caught:
                read(data)
            assert caught.value.kind is not ErrorKind.BAD_ANSWER


def test_an_answer_in_an_array_is_read() -> None:
    body = [payload({"text": "a"}, finish=None), payload({"text": "b"})]
    assert message(body)["content"] == "ab"
    chunks = read(json.dumps(body, indent=2).encode(), size=7)
    assert "".join(c.text for c in chunks) == "ab"
    assert chunks[-1].finish == "stop"


def test_a_streamed_text() -> None:
    reader = wire().reader(GOOGLE, FLASH)
    chunks = drained(reader, (DATA / "stream_text.sse").read_bytes())
    assert deltas(chunks) == [
        {"role": "assistant", "reasoning_content": "Thinking it over."},
        {"content": "Hé"},
        {"content": "llo 世"},
        {},
    ]
    assert [c.text for c in chunks] == ["", "Hé", "llo 世", "", ""]
    assert [c.is_token for c in chunks] == [True, True, True, False, False]
    assert [c.finish for c in chunks] == [None, None, None, "stop", None]
    assert chunks[-1].usage_only
    assert chunks[-1].usage == Usage(4, 5, reasoning_tokens=3)
    assert json.loads(chunks[-1].data)["choices"] == []
    assert {json.loads(c.data)["id"] for c in chunks} == {"chatcmpl-1"}
    assert reader.ended


def test_parallel_calls_have_indexes_and_ids_of_their_own() -> None:
    chunks = read((DATA / "stream_parallel_calls.sse").read_bytes())
    calls = [call for delta in deltas(chunks) for call in delta.get("tool_calls", ())]
    assert [(c["index"], c["id"], c["function"]["name"]) for c in calls] == [
        (0, "call_2", "get_time"),
        (1, "call_3", "get_time"),
        (2, "call_4", "get_date"),
    ]
    assert [c["function"]["arguments"] for c in calls] == [
        '{"city":"Oslo"}',
        '{"city":"Rome"}',
        "{}",
    ]
    assert [c.tools for c in chunks] == [True, True, False, False]
    assert [c.finish for c in chunks if c.finish] == ["tool_calls"]


def test_a_stream_that_breaks_off_has_not_ended() -> None:
    data = sse(payload({"text": "Hel"}, finish=None, usageMetadata={"promptTokenCount": 4}))
    reader = wire().reader(GOOGLE, FLASH)
    chunks = drained(reader, data)
    assert not reader.ended
    assert [c.finish for c in chunks] == [None, None]
    assert chunks[-1].usage == Usage(4, 0, exact=False)


def test_counts_that_come_after_the_end_are_given_on_close() -> None:
    end, counts = payload({"text": "a"}), {"usageMetadata": {"promptTokenCount": 4}}
    reader = wire().reader(GOOGLE, FLASH)
    first = reader.feed(sse(end))
    assert reader.ended
    assert [c.usage_only for c in first + reader.feed(sse(counts))] == [False, False]
    assert [c.usage for c in reader.close()] == [Usage(4, 0)]
    assert reader.close() == []


def test_what_came_before_a_fault_goes_out_first() -> None:
    data = sse(payload({"text": "good"}, finish=None)) + sse({"error": {"code": 503}})
    reader = wire().reader(GOOGLE, FLASH)
    assert [c.text for c in reader.feed(data)] == ["good"]
    assert reader.ended
    with pytest.raises(UpstreamError):
        reader.close()


def test_a_malformed_frame_is_a_bad_answer() -> None:
    with pytest.raises(UpstreamError) as caught:
        read(b'data: {"candidates": [\r\n\r\n')
    assert caught.value.kind is ErrorKind.BAD_ANSWER


STREAMS = [
    (DATA / "stream_text.sse").read_bytes(),
    (DATA / "stream_parallel_calls.sse").read_bytes(),
    json.dumps([payload({"text": "ü"}, finish=None), payload({"text": "b"})], indent=1).encode(),
    sse(payload({"text": "good"}, finish=None)) + sse({"error": {"code": 503}}),
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
    reader = wire().reader(GOOGLE, FLASH)
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
                "candidates content parts text thought functionCall name args finishReason "
                "usageMetadata promptTokenCount thoughtSignature promptFeedback".split()
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_no_json_whatever_breaks_the_reading(body: Any) -> None:
    try:
        completed(body)
    except UpstreamError:
        pass
    outcome([sse(body)])


# What a client sends back, and what Google then gets.


def calls_of(body: object, through: GeminiWire) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = message(body, through=through)["tool_calls"]
    return made


def plain(call: dict[str, Any]) -> dict[str, Any]:
    """The call as clients keep it that drop what they do not know."""
    return {name: call[name] for name in ("id", "type", "function")}


def next_turn(
    through: GeminiWire, calls: list[dict[str, Any]], model: Model = FLASH
) -> list[dict[str, Any]]:
    """The parts of the model's turn when the calls come back with their results."""
    results = [{"role": "tool", "tool_call_id": c["id"], "content": "x"} for c in calls]
    body = {
        "messages": [
            {"role": "user", "content": "Go"},
            {"role": "assistant", "content": None, "tool_calls": calls},
            *results,
        ]
    }
    call = through.call(ChatRequest(model="auto", body=body), GOOGLE, model)
    parts: list[dict[str, Any]] = json.loads(call.body)["contents"][1]["parts"]
    return parts


CALLING = payload(
    {"functionCall": {"name": "f", "args": {"a": 1, "b": 2}}, "thoughtSignature": "U0lH"},
    {"functionCall": {"name": "g", "args": {}}},
)


def test_calls_come_back_as_they_were_with_their_signatures() -> None:
    through = wire()
    calls = [plain(c) for c in calls_of(CALLING, through)]
    assert next_turn(through, calls) == [
        {
            "functionCall": {"id": "call_1", "name": "f", "args": {"a": 1, "b": 2}},
            "thoughtSignature": "U0lH",
        },
        {"functionCall": {"id": "call_2", "name": "g", "args": {}}},
    ]


def test_streamed_calls_too() -> None:
    through = wire()
    chunks = read(sse(CALLING), through)
    calls = [plain(c) for d in deltas(chunks) for c in d.get("tool_calls", ())]
    assert [p.get("thoughtSignature") for p in next_turn(through, calls)] == ["U0lH", None]


def test_a_client_that_makes_new_ids_gets_its_signatures_too() -> None:
    through = wire()
    first, second = (plain(c) for c in calls_of(CALLING, through))
    first = {**first, "id": "x", "function": {"name": "f", "arguments": '{"b": 2, "a": 1}'}}
    assert next_turn(through, [first, second])[0]["thoughtSignature"] == "U0lH"


def test_after_a_restart_what_the_client_kept_is_used() -> None:
    calls = calls_of(CALLING, wire())
    assert next_turn(wire(), calls)[0]["thoughtSignature"] == "U0lH"
    assert next_turn(wire(), [plain(c) for c in calls])[0]["thoughtSignature"] == NO_SIGNATURE


def test_another_models_signature_is_not_sent() -> None:
    through = wire()
    calls = calls_of(CALLING, through)
    assert next_turn(through, calls, NEWER)[0]["thoughtSignature"] == NO_SIGNATURE


def test_a_signature_that_came_last_and_alone_belongs_to_the_text() -> None:
    through = wire()
    text = "".join(c.text for c in read((DATA / "stream_text.sse").read_bytes(), through))
    body = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": text}]}
    call = through.call(ChatRequest(model="auto", body=body), GOOGLE, FLASH)
    part = {"text": "Héllo 世", "thoughtSignature": "VEVYVA=="}
    assert json.loads(call.body)["contents"][1]["parts"] == [part]


def test_a_function_whose_name_had_to_change_is_called_by_its_own() -> None:
    body = payload({"functionCall": {"name": "_1_now", "args": {}}})
    calls = message(body, tools=frozenset({"1 now"}))["tool_calls"]
    assert calls[0]["function"]["name"] == "1 now"


def test_calls_stay_in_step_over_many_rounds() -> None:
    through = wire()
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Go"}]
    for n in range(4):
        body = payload(
            {"functionCall": {"name": "f", "args": {"n": n}}, "thoughtSignature": f"s{n}"}
        )
        (call,) = (plain(c) for c in calls_of(body, through))
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": str(n)})
    sent = through.call(ChatRequest(model="auto", body={"messages": messages}), GOOGLE, FLASH)
    contents = json.loads(sent.body)["contents"]
    assert [c["role"] for c in contents] == ["user", *["model", "user"] * 4]
    assert [c["parts"][0]["thoughtSignature"] for c in contents[1::2]] == ["s0", "s1", "s2", "s3"]
    answers = [c["parts"][0]["functionResponse"] for c in contents[2::2]]
    assert [a["response"] for a in answers] == [{"result": str(n)} for n in range(4)]
