from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.providers.catalog import load_catalog
from freellmapi.providers.cohere_messages import Names
from freellmapi.providers.cohere_schema import enforceable
from tests.providers.test_cohere_accepted import sent

CATALOG = load_catalog()
PLUS = CATALOG.by_ref["cohere/command-a-plus-05-2026"]
PLAIN = CATALOG.by_ref["cohere/command-a-03-2025"]
OLD = CATALOG.by_ref["cohere/command-r-08-2024"]
USER = {"role": "user", "content": "Hi"}
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **more}}


def call(id: str, name: str = "f") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}}


def settings_of(model: Any = PLAIN, **body: Any) -> dict[str, Any]:
    """What is sent beside model, messages and stream."""
    made = sent(model, {"messages": [USER], **body})
    return {n: v for n, v in made.items() if n not in ("model", "messages", "stream")}


def messages_of(*messages: dict[str, Any], **body: Any) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = sent(PLUS, {"messages": list(messages), **body})["messages"]
    return made


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_completion_tokens": 10**9}, {"max_tokens": 8000}),
        ({"stop": "a"}, {"stop_sequences": ["a"]}),
        ({"stop": list("abcdefg")}, {"stop_sequences": list("abcd")}),
        ({"top_p": 1, "top_k": 900}, {"p": 0.99, "k": 500}),
        ({"temperature": 2}, {"temperature": 1}),
        ({"seed": -1}, {"seed": 2**64 - 1}),
        ({"presence_penalty": -1}, {}),
        ({"presence_penalty": 2, "frequency_penalty": 0}, {"presence_penalty": 1}),
        ({"presence_penalty": 1, "frequency_penalty": 0.5}, {"frequency_penalty": 0.5}),
        ({"logprobs": True, "top_logprobs": 3}, {"logprobs": True}),
        ({"user": "me", "metadata": {}, "unheard_of": 1}, {}),
        ({"safety_mode": "OFF", "documents": ["d"]}, {"safety_mode": "OFF", "documents": ["d"]}),
        ({"reasoning_effort": "high"}, {}),
        ({"tool_choice": "required"}, {}),
    ],
    ids=str,
)
def test_settings(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert settings_of(**given) == expected


@pytest.mark.parametrize(
    ("given", "thinking"),
    [
        ({}, None),
        ({"reasoning_effort": "none"}, {"type": "disabled"}),
        ({"reasoning_effort": "minimal"}, {"type": "disabled"}),
        ({"reasoning_effort": "low"}, {"type": "enabled", "token_budget": 1024}),
        ({"reasoning_effort": "high"}, {"type": "enabled"}),
        ({"reasoning_effort": "high", "max_tokens": 4000},
         {"type": "enabled", "token_budget": 2000}),
        ({"max_tokens": 100}, {"type": "disabled"}),
        ({"max_tokens": 4000}, None),
        ({"thinking": {"type": "enabled", "token_budget": 7, "other": 1}},
         {"type": "enabled", "token_budget": 7}),
    ],
    ids=str,
)  # fmt: skip
def test_thinking(given: dict[str, Any], thinking: dict[str, Any] | None) -> None:
    assert settings_of(PLUS, **given).get("thinking") == thinking


BOTH = [tool("f"), tool("g")]
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool("g")]}}


@pytest.mark.parametrize(
    ("choice", "expected", "names"),
    [
        ("auto", None, ["f", "g"]),
        ("none", "NONE", ["f", "g"]),
        ("required", "REQUIRED", ["f", "g"]),
        (tool("g"), "REQUIRED", ["g"]),
        (ALLOWED, None, ["g"]),
        (tool("unknown"), None, ["f", "g"]),
    ],
)
def test_tool_choice(choice: Any, expected: str | None, names: list[str]) -> None:
    made = settings_of(tools=BOTH, tool_choice=choice)
    assert made.get("tool_choice") == expected
    assert [t["function"]["name"] for t in made["tools"]] == names


def test_models_before_r7b_get_no_tools_rather_than_the_word_none() -> None:
    assert settings_of(OLD, tools=BOTH, tool_choice="none") == {}
    assert "tool_choice" not in settings_of(OLD, tools=BOTH, tool_choice="required")


def test_tools_without_parameters_or_with_too_much_in_them() -> None:
    schema = {"$schema": "x", "additionalProperties": False, "properties": {"a": {}}}
    declared = settings_of(tools=[tool("f"), tool("g", parameters=schema, strict=True)])["tools"]
    assert [t["function"]["parameters"] for t in declared] == [
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {"a": {}}},
    ]


def test_names_are_made_fit_and_told_apart() -> None:
    names = Names(["a-b", "a_b", "1x", "a.b"])
    there = [names.there(name) for name in ("a_b", "a-b", "a.b", "1x")]
    assert there == ["a_b", "a_b_2", "a_b_3", "_1x"]
    assert [names.back(name) for name in there] == ["a_b", "a-b", "a.b", "1x"]
    assert (names.there("not declared"), names.back("new")) == ("not_declared", "new")


SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["a"],
    "properties": {"a": {"type": "integer", "minimum": 1}, "title": {"type": "string"}},
}


def form(schema: dict[str, Any] | None) -> dict[str, Any]:
    if schema is None:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}


def test_a_schema_stands_beside_the_type() -> None:
    assert settings_of(response_format=form(SCHEMA))["response_format"] == {
        "type": "json_object",
        "json_schema": {
            "type": "object",
            "required": ["a"],
            "properties": {"a": {"type": "integer"}, "title": {"type": "string"}},
        },
    }
    assert settings_of(response_format=form(None)) == {"response_format": {"type": "json_object"}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}},
        {"type": "object", "properties": {}},
        {**SCHEMA, "properties": {"a": {"type": "object", "properties": {}}}},
        {**SCHEMA, "properties": {"a": {"allOf": [{"type": "string"}]}}},
        {**SCHEMA, "required": ["b"]},
    ],
    ids=str,
)
def test_a_schema_that_cohere_cannot_hold_to_is_asked_for_in_words(schema: Any) -> None:
    assert enforceable(schema) is None
    made = sent(PLAIN, {"messages": [USER], "response_format": form(schema)})
    assert made["response_format"] == {"type": "json_object"}
    assert made["messages"][0]["role"] == "system"
    assert "JSON schema" in made["messages"][0]["content"]


@pytest.mark.parametrize("schema", [None, SCHEMA], ids=["object", "schema"])
def test_no_form_beside_tools_but_words(schema: Any) -> None:
    body = {"messages": [USER], "tools": BOTH, "response_format": form(schema)}
    made = sent(PLAIN, body)
    assert "response_format" not in made
    assert "JSON object" in made["messages"][0]["content"]


def test_text_beside_calls_is_their_plan() -> None:
    turn = {"role": "assistant", "content": "I look.", "tool_calls": [call("a"), call("b", "x-y")]}
    results = [{"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}]}]
    assert messages_of(USER, turn, *results, USER) == [
        USER,
        {
            "role": "assistant",
            "tool_plan": "I look.",
            "tool_calls": [call("a"), call("b", "x_y")],
        },
        {"role": "tool", "tool_call_id": "a", "content": "(no result)"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        USER,
    ]


def test_what_is_empty_or_stray_is_left_out_or_told() -> None:
    made = messages_of(
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        USER,
        {"role": "assistant", "content": ""},
        {"role": "tool", "tool_call_id": "gone", "content": "42"},
    )
    assert made == [
        {"role": "system", "content": "Be brief."},
        USER,
        {"role": "user", "content": "Result of gone:\n42"},
    ]


def test_images_stand_among_the_text() -> None:
    image = {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low", "other": 1}}
    content = [{"type": "text", "text": "What?"}, image]
    assert messages_of({"role": "user", "content": content})[0]["content"] == [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
    ]


def test_sound_is_refused_for_this_candidate_only() -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}}
    with pytest.raises(UpstreamError, match="input_audio") as caught:
        messages_of({"role": "user", "content": [sound]})
    assert caught.value.kind is ErrorKind.REQUEST_REFUSED


def test_a_model_without_schemas_is_asked_in_words() -> None:
    made = settings_of(replace(PLAIN, json_schema=False), response_format=form(SCHEMA))
    assert made == {"response_format": {"type": "json_object"}}
