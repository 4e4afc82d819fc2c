"""Request bodies: tolerant where clients differ, strict where it matters."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freellmapi.api.depth import MAX_DEPTH
from freellmapi.api.schema import MAX_OUTPUT, chat_request, parse_json
from freellmapi.core.chat import Need
from freellmapi.core.errors import GatewayError

HI = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "f"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
IMAGE = [
    {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}],
    }
]


def body_of(**fields: Any) -> dict[str, Any]:
    return dict(chat_request({"messages": HI, **fields}).body)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", 0),
        ("temperature", 2.0),
        ("top_p", 0.5),
        ("presence_penalty", -2),
        ("seed", 2**63 - 1),
        ("logprobs", True),
        ("top_logprobs", 20),
        ("logit_bias", {"50256": -100}),
        ("user", "me"),
        ("reasoning_effort", "low"),
        ("response_format", {"type": "json_object"}),
        ("response_format", SCHEMA),
        ("top_k", 40),
        ("a_field_of_tomorrow", {"deep": [1, None]}),
    ],
)
def test_fields_are_forwarded_as_they_are_known_or_not(field: str, value: object) -> None:
    assert body_of(**{field: value})[field] == value


@pytest.mark.parametrize(
    "field",
    [
        "temperature",
        "max_tokens",
        "n",
        "stop",
        "stream",
        "stream_options",
        "tools",
        "tool_choice",
        "response_format",
        "user",
        "model",
        "models",
        "top_k",
    ],
)
def test_a_null_field_is_as_if_it_were_not_there(field: str) -> None:
    assert chat_request({"messages": HI, field: None}) == chat_request({"messages": HI})


@pytest.mark.parametrize(
    "field", ["model", "models", "fallbacks", "n", "stream", "stream_options", "session_id"]
)
def test_what_belongs_to_the_call_is_not_in_the_body(field: str) -> None:
    values: dict[str, Any] = {"models": ["a"], "fallbacks": ["a"], "n": 1, "stream": True}
    values |= {"model": "a", "stream_options": {}, "session_id": "s"}
    assert field not in body_of(**{field: values[field]})


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({}, ("auto",)),
        ({"model": " "}, ("auto",)),
        ({"model": " a/b "}, ("a/b",)),
        ({"model": "a", "models": ["b", "c"]}, ("a", "b", "c")),
        ({"model": "a", "fallbacks": [" b "]}, ("a", "b")),
        ({"models": ["b", "c"]}, ("b", "c")),
    ],
    ids=["none", "blank", "spaces", "models", "fallbacks", "models alone"],
)
def test_the_models_asked_for_are_in_order(fields: dict[str, Any], names: tuple[str, ...]) -> None:
    chat = chat_request({"messages": HI, **fields})
    assert (chat.model, *chat.fallbacks) == names


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7}, 7),
        ({"max_completion_tokens": 7, "max_tokens": 5}, 7),
        ({"max_tokens": 5.0}, 5),
        ({"max_tokens": 0}, None),
        ({"max_tokens": -1}, None),
        ({"max_tokens": 1e300}, MAX_OUTPUT),
        ({}, None),
    ],
)
def test_the_cap_on_output(fields: dict[str, Any], wanted: int | None) -> None:
    chat = chat_request({"messages": HI, **fields})
    assert chat.max_tokens == wanted
    assert chat.body.get("max_tokens") == wanted
    assert "max_completion_tokens" not in chat.body


@pytest.mark.parametrize(
    ("stop", "wanted"),
    [
        ("x", ["x"]),
        (["a", "b"], ["a", "b"]),
        (["a", "b", "c", "d", "e", "f"], ["a", "b", "c", "d"]),
        (["", "a"], ["a"]),
        ("", None),
        ([], None),
    ],
)
def test_at_most_four_stops_are_forwarded(stop: object, wanted: list[str] | None) -> None:
    assert body_of(stop=stop).get("stop") == wanted


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"model": 3}, "model"),
        ({"model": "x" * 257}, "model"),
        ({"models": "a"}, "models"),
        ({"models": ["a"] * 51}, "models"),
        ({"fallbacks": ["a", {}]}, "fallbacks[1]"),
        ({"temperature": "warm"}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"seed": 1.5}, "seed"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"n": 2}, "n"),
        ({"n": 0}, "n"),
        ({"n": "1"}, "n"),
        ({"n": True}, "n"),
        ({"stream": "true"}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"stop": 3}, "stop"),
        ({"stop": ["a", 3]}, "stop"),
        ({"logit_bias": []}, "logit_bias"),
        ({"user": 3}, "user"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            "response_format.json_schema",
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_path(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(GatewayError) as raised:
        chat_request({"messages": HI, **fields})
    assert (raised.value.status, raised.value.param) == (400, path)
    assert raised.value.message.startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("fields", "needs"),
    [
        ({}, set()),
        ({"tools": [TOOL]}, {Need.TOOLS}),
        ({"tools": [TOOL], "tool_choice": "auto"}, {Need.TOOLS}),
        ({"tools": [TOOL], "tool_choice": "any"}, {Need.TOOLS, Need.TOOL_CHOICE}),
        ({"tools": [TOOL], "tool_choice": TOOL}, {Need.TOOLS, Need.TOOL_CHOICE}),
        ({"response_format": SCHEMA}, {Need.JSON_SCHEMA}),
        ({"response_format": {"type": "json_object"}}, set()),
        ({"messages": IMAGE}, {Need.VISION}),
        (
            {"messages": IMAGE, "tools": [TOOL], "response_format": SCHEMA},
            {Need.TOOLS, Need.VISION, Need.JSON_SCHEMA},
        ),
    ],
)
def test_what_a_model_must_be_able_to_do(fields: dict[str, Any], needs: set[Need]) -> None:
    assert chat_request({"messages": HI, **fields}).needs == needs


def test_a_schema_without_a_name_is_given_one() -> None:
    found = body_of(response_format={"type": "json_schema", "json_schema": {"schema": {}}})
    assert found["response_format"]["json_schema"] == {"schema": {}, "name": "answer"}


def test_text_is_the_format_that_needs_no_word() -> None:
    assert "response_format" not in body_of(response_format={"type": "text"})


def test_choice_and_parallel_calls_mean_nothing_without_tools() -> None:
    found = body_of(tool_choice="auto", parallel_tool_calls=True, tools=[])
    assert found.keys() == {"messages"}


def test_tools_and_choice_are_forwarded_in_todays_form() -> None:
    chat = chat_request({"messages": HI, "functions": [{"name": "f"}], "function_call": "auto"})
    assert chat.body["tools"] == [TOOL]
    assert chat.body["tool_choice"] == "auto"
    assert chat.tools == {"f"}


@pytest.mark.parametrize(
    ("fields", "header", "session"),
    [
        ({}, None, None),
        ({}, "  ", None),
        ({}, "h", "h"),
        ({"session_id": "s", "user": "u"}, "h", "h"),
        ({"session_id": "s", "user": "u"}, None, "s"),
        ({"user": "u"}, None, "u"),
        ({"session_id": 3}, None, None),
    ],
)
def test_what_a_conversation_is_known_by(
    fields: dict[str, Any], header: str | None, session: str | None
) -> None:
    assert (
        chat_request({"messages": HI, **fields}, {"X-Session-Id": header} if header else {}).session
        == session
    )


def test_usage_is_wanted_only_when_said() -> None:
    for options, wanted in (({}, False), ({"include_usage": True}, True)):
        chat = chat_request({"messages": HI, "stream": True, "stream_options": options})
        assert (chat.stream, chat.include_usage) == (True, wanted)


def nested(levels: int) -> bytes:
    return b'{"messages":[{"role":"user","content":"hi"}],"x":%b1%b}' % (
        b"[" * (levels - 1),
        b"]" * (levels - 1),
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b'{"a": "\xff"}',
        b'\xef\xbb\xbf{"a": 1}',
        b"[" * 100_000,
        nested(MAX_DEPTH + 1),
        nested(900),
    ],
    ids=[
        "nothing",
        "cut",
        "null",
        "list",
        "string",
        "python",
        "nan",
        "infinite",
        "lone surrogate",
        "not utf-8",
        "byte order mark",
        "open brackets",
        "just too deep",
        "far too deep",
    ],
)
def test_a_body_that_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(GatewayError) as raised:
        parse_json(data)
    assert (raised.value.status, raised.value.code) == (400, "invalid_json")


def test_a_body_as_deep_as_allowed_can_be_read_and_written() -> None:
    chat = chat_request(parse_json(nested(MAX_DEPTH)))
    assert orjson.loads(orjson.dumps(dict(chat.body)))["x"]


def test_brackets_in_texts_are_no_depth() -> None:
    text = "[{" * 10_000
    data = orjson.dumps({"messages": [{"role": "user", "content": text}]})
    assert parse_json(data)["messages"][0]["content"] == text


def test_the_last_of_duplicate_fields_counts() -> None:
    assert parse_json(b'{"model": "a", "model": "b"}') == {"model": "b"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from(
    "model models fallbacks messages stream stream_options n max_tokens max_completion_tokens stop "
    "tools tool_choice functions function_call response_format session_id user temperature top_p "
    "seed logit_bias logprobs parallel_tool_calls extra".split()
)
message_fields = st.sampled_from(
    "role content name tool_calls tool_call_id function_call refusal".split()
)
roles = st.sampled_from(["system", "developer", "user", "assistant", "tool", "function"])
parts = st.dictionaries(st.sampled_from(["type", "text", "image_url", "url"]), json_values) | (
    st.sampled_from(["text", "image_url", "input_image"]).flatmap(
        lambda kind: st.fixed_dictionaries(
            {"type": st.just(kind)}, optional={"text": json_values, "image_url": json_values}
        )
    )
)
functions = st.fixed_dictionaries(
    {}, optional={"name": json_values | st.just("f"), "arguments": json_values}
)
calls = st.fixed_dictionaries(
    {}, optional={"id": json_values, "type": json_values, "function": functions | json_values}
)
messages = st.fixed_dictionaries(
    {"role": roles},
    optional={
        "content": json_values | st.lists(parts | json_values, max_size=3),
        "name": json_values,
        "tool_calls": json_values | st.lists(calls | json_values, max_size=3),
        "tool_call_id": json_values,
        "function_call": functions | json_values,
    },
)
plausible = st.fixed_dictionaries(
    {"messages": st.lists(messages | json_values, max_size=4) | json_values},
    optional={
        "tools": st.lists(calls | json_values, max_size=2) | json_values,
        "tool_choice": json_values | calls,
        "response_format": json_values,
        "stop": json_values,
        "max_tokens": json_values,
        "model": json_values,
    },
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(fields, json_values, max_size=6) | plausible)
def test_any_json_is_a_request_that_can_be_sent_on_or_an_error_of_ours(raw: dict[str, Any]) -> None:
    try:
        parsed = parse_json(orjson.dumps(raw))
        chat = chat_request(parsed)
    except GatewayError as error:
        assert 400 <= error.status < 500
        return
    sent = orjson.loads(orjson.dumps(dict(chat.body)))
    assert sent["messages"]
    assert chat.prompt_tokens > 0


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_an_error_of_ours(data: bytes) -> None:
    try:
        chat_request(parse_json(data))
    except GatewayError as error:
        assert error.status == 400


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, (None, None)),
        ({"X-Max-Wait": "0"}, (0.0, None)),
        ({"X-Max-Wait": "2.5", "X-Stream-Recovery": "error"}, (2.5, "error")),
    ],
)
def test_headers_that_steer_one_request(
    headers: dict[str, str], expected: tuple[float | None, str | None]
) -> None:
    chat = chat_request({"messages": HI}, headers)
    assert (chat.max_wait, chat.recovery) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Max-Wait", "soon"),
        ("X-Max-Wait", "-1"),
        ("X-Max-Wait", "nan"),
        ("X-Max-Wait", "601"),
        ("X-Stream-Recovery", "maybe"),
    ],
)
def test_headers_out_of_range_are_refused(name: str, value: str) -> None:
    with pytest.raises(GatewayError, match=name) as refusal:
        chat_request({"messages": HI}, {name: value})
    assert refusal.value.status == 400
