"""Streams as providers send them, read to chunks that the official client's types accept."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from freellmapi.core.chat import Chunk
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.limits import Usage
from freellmapi.core.sse import MAX_EVENT_BYTES
from tests.providers.test_openai import MODEL, PROVIDER, TOOLS, wire

DATA = Path(__file__).parent / "data" / "openai"
STREAMS = sorted(path.stem for path in DATA.glob("*.sse"))


@dataclass
class Read:
    """What a client would have put together from a stream."""

    chunks: list[Chunk] = field(default_factory=list)
    text: str = ""
    reasoning: str = ""
    calls: dict[int, dict[str, str]] = field(default_factory=dict)
    finishes: list[str] = field(default_factory=list)
    usage: Usage | None = None
    fault: ErrorKind | None = None
    ended: bool = False

    def take(self, chunk: Chunk) -> None:
        ChatCompletionChunk.model_validate_json(chunk.data)
        assert b"\n" not in chunk.data
        self.chunks.append(chunk)
        if chunk.usage is not None:
            assert self.usage is None, "usage comes once"
            self.usage = chunk.usage
        event = orjson.loads(chunk.data)
        assert chunk.usage_only == (event["choices"] == []) == (event.get("usage") is not None)
        for choice in event["choices"]:
            self._choice(chunk, choice)

    def _choice(self, chunk: Chunk, choice: dict[str, Any]) -> None:
        delta = choice["delta"]
        assert chunk.text == (delta.get("content") or "")
        assert chunk.reasoning == bool(delta.get("reasoning_content"))
        assert chunk.tools == bool(delta.get("tool_calls"))
        assert chunk.finish == choice.get("finish_reason")
        self.text += chunk.text
        self.reasoning += delta.get("reasoning_content") or ""
        self.finishes += [chunk.finish] if chunk.finish else []
        for call in delta.get("tool_calls") or ():
            # Joined as the official client joins them: every string but the index.
            kept = self.calls.setdefault(call["index"], {"id": "", "name": "", "arguments": ""})
            kept["id"] += call.get("id") or ""
            kept["name"] += call["function"].get("name") or ""
            kept["arguments"] += call["function"].get("arguments") or ""


def read(pieces: Iterable[bytes], tools: frozenset[str] = TOOLS) -> Read:
    reader = wire().reader(PROVIDER, MODEL, tools)
    seen = Read()
    try:
        for piece in pieces:
            for chunk in reader.feed(piece):
                seen.take(chunk)
            if reader.ended:
                seen.ended = True
                break
        for chunk in reader.close():
            seen.take(chunk)
    except UpstreamError as fault:
        seen.fault = fault.kind
    return seen


def recorded(name: str) -> bytes:
    return (DATA / f"{name}.sse").read_bytes()


def event(delta: dict[str, Any], finish: str | None = None, **fields: Any) -> bytes:
    """The JSON of a chunk as it should be, but for ``fields``."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    envelope = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return orjson.dumps({**envelope, "choices": [choice], **fields})


def sent(*events: bytes) -> bytes:
    return b"".join(b"data: %s\n\n" % event for event in [*events, b"[DONE]"])


def stream(*deltas: dict[str, Any], finish: str = "stop") -> bytes:
    return sent(*(event(delta) for delta in deltas), event({}, finish))


@pytest.mark.parametrize(
    ("name", "text", "reasoning", "finish", "usage"),
    [
        ("plain", "Oslo is at 14:05 ☀", "", "stop", Usage(12, 5)),
        ("groq", "14:05", "The user asks.", "stop", Usage(12, 5, reasoning_tokens=3)),
        ("openrouter", "14:05", "Let me see.", "stop", Usage(12, 5, cached_tokens=2)),
        ("mistral", "I look.", "Clock.", "tool_calls", Usage(12, 5)),
        ("moonshot", "14:05", "Hm.", "stop", Usage(12, 5)),
        ("minimax", "14:05", "Clock.", "stop", Usage(12, 5)),
        ("azure", "14:05", "", "stop", None),
        ("usage_everywhere", "14:05", "", "stop", Usage(12, 5)),
        ("bare", "14:05", "", "stop", None),
        ("wandering", "14:05", "", "stop", None),
        ("crlf_no_done", "14:05", "", "stop", None),
        ("multi_line", "14:05", "", "stop", None),
        ("done_without_finish", "14:05", "", "stop", None),
        ("logprobs", "14:05", "", "stop", None),
        ("empty_length", "", "", "length", None),
        ("surrogates", "14?", "", "stop", None),
        ("ndjson", "14:05", "", "stop", Usage(12, 5)),
        ("whole_body", "14:05", "", "stop", Usage(12, 5)),
        ("tools", "", "", "tool_calls", None),
    ],
)
def test_a_stream_reads_as_the_official_client_would_have_it(
    name: str, text: str, reasoning: str, finish: str, usage: Usage | None
) -> None:
    seen = read([recorded(name)])

    assert seen.fault is None
    assert (seen.text, seen.reasoning, seen.finishes) == (text, reasoning, [finish])
    assert seen.usage == usage


@pytest.mark.parametrize("name", ["tools", "tools_no_index", "tools_no_id", "gemini_compat_tools"])
def test_parallel_tool_calls_come_out_whole(name: str) -> None:
    seen = read([recorded(name)])

    assert [(c["name"], orjson.loads(c["arguments"])) for c in seen.calls.values()] == [
        ("get_time", {"city": "Oslo"}),
        ("get_time", {"city": "Rome"}),
    ]
    assert list(seen.calls) == [0, 1]
    assert len({call["id"] for call in seen.calls.values()}) == 2
    assert seen.finishes == ["tool_calls"]


def test_a_providers_own_call_id_goes_to_the_client() -> None:
    assert read([recorded("mistral")]).calls[0]["id"] == "abc123DEF"


def test_signatures_beside_a_tool_call_are_kept() -> None:
    assert any(
        b"thought_signature" in c.data for c in read([recorded("gemini_compat_tools")]).chunks
    )


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("openrouter_error", "14", ErrorKind.SERVER_ERROR),
        ("groq_error", "14", ErrorKind.SERVER_ERROR),
        ("minimax_error", "", ErrorKind.RATE_LIMITED),
        ("empty", "", ErrorKind.BAD_ANSWER),
        ("malformed", "14", ErrorKind.BAD_ANSWER),
        ("zhipu_failed", "14", ErrorKind.SERVER_ERROR),
        ("html", "", ErrorKind.BAD_ANSWER),
    ],
)
def test_a_fault_is_raised_after_what_came_before_it(name: str, text: str, kind: ErrorKind) -> None:
    seen = read([recorded(name)])

    assert (seen.text, seen.fault, seen.finishes) == (text, kind, [])


def test_an_event_without_end_is_a_bad_answer() -> None:
    assert read([b'data: {"a": "' + b"x" * MAX_EVENT_BYTES]).fault is ErrorKind.BAD_ANSWER


def test_a_stream_that_breaks_off_has_no_finish() -> None:
    seen = read([recorded("cut")])

    assert (seen.text, seen.finishes, seen.ended) == ("14", [], False)


@pytest.mark.parametrize("name", STREAMS)
def test_every_chunk_of_a_stream_has_one_envelope_and_the_first_a_role(name: str) -> None:
    seen = [orjson.loads(chunk.data) for chunk in read([recorded(name)]).chunks]

    assert len({(e["id"], e["created"], e["model"], e["object"]) for e in seen}) <= 1
    assert not seen or seen[0]["choices"][0]["delta"]["role"] == "assistant"


@given(st.data())
def test_how_the_bytes_are_split_makes_no_difference(data: st.DataObject) -> None:
    body = recorded(data.draw(st.sampled_from(STREAMS)))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(body)), max_size=12)))
    edges = [0, *cuts, len(body)]
    pieces = [body[a:b] for a, b in pairwise(edges)]

    assert _outcome(read(pieces)) == _outcome(read([body]))


def _outcome(seen: Read) -> tuple[list[bytes], ErrorKind | None]:
    return [chunk.data for chunk in seen.chunks], seen.fault


def test_an_ordinary_chunk_passes_as_the_bytes_that_came() -> None:
    body = recorded("plain")
    events = [line[6:] for line in body.splitlines() if line.startswith(b"data: {")]

    passed = [chunk.data for chunk in read([body], frozenset()).chunks]

    assert passed[:-1] == events[:-1]


def test_an_ordinary_chunk_passes_as_it_came_with_tools_declared() -> None:
    body = recorded("plain")

    assert b'"content":" is"' in read([body]).chunks[2].data
    assert read([body]).chunks[2].data in body


@pytest.mark.parametrize("pieces", [["<think>\na</think>\n\nb"], list("<think>\na</think>\n\nb")])
def test_thinking_in_the_content_is_parted_however_it_is_split(pieces: list[str]) -> None:
    seen = read([stream(*({"content": piece} for piece in pieces))])

    assert (seen.reasoning, seen.text) == ("a", "b")


@pytest.mark.parametrize(
    "text", ["a <think>b</think>", "<thin", "<b>bold</b>", " <", "[1, 2]", "{}"]
)
def test_text_that_only_looks_special_stays_text(text: str) -> None:
    whole = read([stream({"content": text})])
    by_letter = read([stream(*({"content": letter} for letter in text))])

    assert whole.text == by_letter.text == text


CALL = '<tool_call>{"name": "get_time", "arguments": {"city": "Oslo"}}</tool_call>'


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_calls_written_as_text_become_tool_calls(size: int) -> None:
    text = f"I look. {CALL}\n{CALL}\n"
    seen = read([stream(*({"content": text[i : i + size]} for i in range(0, len(text), size)))])

    assert seen.text == "I look. "
    assert [call["name"] for call in seen.calls.values()] == ["get_time", "get_time"]
    assert seen.finishes == ["tool_calls"]


def test_text_after_a_half_written_call_is_not_lost() -> None:
    seen = read([stream({"content": "see <tool_call>oops</tool_call> so"})])

    assert seen.text == "see <tool_call>oops</tool_call> so"
    assert seen.finishes == ["stop"]


def test_text_is_not_held_back_once_it_cannot_be_a_call() -> None:
    reader = wire().reader(PROVIDER, MODEL, TOOLS)
    pieces = stream({"content": "{"}, {"content": '"answer": 1'}).split(b"\n\n")

    first, second = (reader.feed(piece + b"\n\n") for piece in pieces[:2])

    assert [chunk.text for chunk in first] == [""]
    assert [chunk.text for chunk in second] == ['{"answer": 1']


def test_a_reader_asked_again_after_the_end_has_nothing_more() -> None:
    reader = wire().reader(PROVIDER, MODEL)
    reader.feed(recorded("plain"))

    assert reader.ended
    assert reader.feed(recorded("plain")) == []
    assert reader.close() == []


def test_reasoning_is_renamed_where_it_stands_and_nowhere_else() -> None:
    thought = 'say "reasoning": or \\"reasoning\\":'
    seen = read([stream({"reasoning": "a "}, {"reasoning": thought}, {"content": "b"})])

    assert (seen.reasoning, seen.text) == (f"a {thought}", "b")


def test_more_arguments_of_a_known_call_pass_as_the_bytes_that_came() -> None:
    seen = read([recorded("tools")])

    assert seen.chunks[1].data in recorded("tools")
    assert [chunk.tools for chunk in seen.chunks] == [True] * 5 + [False]


def test_a_key_named_reasoning_elsewhere_is_left_alone() -> None:
    odd = event({"reasoning": "b"}, meta={"reasoning": "kept"})
    seen = read([sent(event({"reasoning": "a"}), odd, event({}, "stop"))])

    assert seen.reasoning == "ab"
    assert b'"meta":{"reasoning":"kept"}' in seen.chunks[1].data


@pytest.mark.parametrize(
    "change", [{"id": "x"}, {"created": 2}, {"model": "x"}, {"object": "x"}], ids=str
)
def test_an_envelope_that_changes_midway_is_held_to_the_first(change: dict[str, Any]) -> None:
    seen = read([sent(event({"content": "a"}), event({"content": "b"}, **change))])
    first, second = (orjson.loads(chunk.data) for chunk in seen.chunks[:2])

    assert [first[name] for name in change] == [second[name] for name in change]


@pytest.mark.parametrize(
    "fields",
    [
        {"error": {"message": "overloaded", "code": 503}},
        {"base_resp": {"status_code": 1000, "status_msg": "unknown"}},
        {"x_groq": {"error": "over capacity"}},
        {"success": False},
    ],
    ids=str,
)
def test_an_error_beside_text_is_raised(fields: dict[str, Any]) -> None:
    seen = read([sent(event({"content": "a"}), event({"content": "b"}, **fields))])

    assert (seen.text, seen.fault is None) == ("a", False)


def test_an_event_of_several_lines_goes_out_as_one() -> None:
    lines = event({"content": "b"}).replace(b',"created"', b',\ndata: "created"')
    seen = read([sent(event({"content": "a"}), lines, event({}, "stop"))])

    assert seen.text == "ab"


def test_text_held_back_goes_out_before_a_tool_call() -> None:
    call = {"index": 0, "id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}
    seen = read([stream({"content": "a <"}, {"tool_calls": [call]}, finish="tool_calls")])

    assert [chunk.text for chunk in seen.chunks] == ["a ", "<", ""]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(" next", id="plain"),
        pytest.param("", id="empty"),
        pytest.param('a "quoted" \\ word', id="escaped in JSON"),
        pytest.param("line\nbreak\t\x01", id="control characters"),
        pytest.param("Grüße, 日本 \u2028 \U0001f600", id="beyond ASCII"),
        pytest.param('","finish_reason":"stop', id="what looks like JSON"),
        pytest.param("content", id="the name of its own field"),
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_chunks_that_differ_by_their_text_alone_are_told_apart(text: str, ascii_only: bool) -> None:
    def event(content: str) -> bytes:
        delta = {"content": content}
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        return json.dumps({**head, "choices": [choice]}, ensure_ascii=ascii_only).encode()

    texts = ["first", "second", text, "content", text, "last"]
    reader = wire().reader(PROVIDER, MODEL)
    body = b"".join(b"data: %b\n\n" % event(each) for each in texts)
    chunks = reader.feed(body)
    assert [chunk.text for chunk in chunks] == [each for each in texts if each]
    assert [chunk.data for chunk in chunks[1:]] == [event(each) for each in texts[1:] if each]
