"""How requests are fitted to each provider's quirks."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from freellmapi.core.catalog import Model, Provider, Quirks
from freellmapi.core.chat import ChatRequest
from freellmapi.providers import messages, quirks, schemas
from freellmapi.providers.openai import OpenAIWire

HELLO = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def sent(
    rules: Quirks,
    overrides: dict[str, Any] | None = None,
    max_output: int | None = None,
    stream: bool = False,
    **body: Any,
) -> dict[str, Any]:
    """What the provider gets, but for the model."""
    provider = Provider("alpha", "Alpha", "https://alpha.test", quirks=rules)
    model = Model("alpha", "m", "M", "m", max_output=max_output, quirks=overrides or {})
    chat = ChatRequest("auto", {"messages": [HELLO], **body}, stream)
    got: dict[str, Any] = orjson.loads(OpenAIWire().call(chat, provider, model).body)
    assert got.pop("model") == "m"
    if body.get("messages") is None and got["messages"] == [HELLO]:
        del got["messages"]
    return got


def flags(*names: str) -> Quirks:
    assert set(names) <= quirks.FLAGS
    return Quirks(flags=frozenset(names))


@pytest.mark.parametrize(
    ("rules", "body", "expected"),
    [
        (Quirks(), {"seed": 1}, {"seed": 1}),
        (Quirks(drop=frozenset({"seed"})), {"seed": 1, "top_p": 1}, {"top_p": 1}),
        (Quirks(rename={"seed": "random_seed"}), {"seed": 1}, {"random_seed": 1}),
        (Quirks(rename={"a": "b"}), {"a": 1, "b": 2}, {"b": 2}),
        (Quirks(set={"top_p": 0.9}), {}, {"top_p": 0.9}),
        (Quirks(set={"top_p": 0.9}), {"top_p": 0.1}, {"top_p": 0.1}),
        (Quirks(set={"parallel_tool_calls": False}), {}, {}),
        (Quirks(set={"max_tokens": 9}), {"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
        (Quirks(clamp={"temperature": (0, 1)}), {"temperature": 1.7}, {"temperature": 1}),
        (Quirks(clamp={"temperature": (0, 1)}), {"temperature": None}, {"temperature": None}),
        (Quirks(allow=frozenset({"top_p"})), {"top_p": 1, "odd": 2}, {"top_p": 1}),
        (Quirks(), {"tool_choice": "auto"}, {}),
        (Quirks(), {"stop": list("abcde")}, {"stop": list("abcd")}),
        (flags("stop_as_list"), {"stop": "a"}, {"stop": ["a"]}),
        (flags("temperature_not_zero"), {"temperature": 0}, {"temperature": 0.01}),
        (flags("max_tokens_required"), {}, {"max_tokens": 4096}),
        (flags("max_tokens_required"), {"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
    ],
    ids=[
        "no quirks",
        "drop",
        "rename",
        "rename onto a given one",
        "set",
        "set is for what is not given",
        "set about tools needs tools",
        "set of a cap knows both names",
        "clamp",
        "clamp leaves null",
        "allow",
        "tool choice without tools",
        "four stops",
        "stop as a list",
        "temperature",
        "max tokens",
        "max tokens given",
    ],
)
def test_fields(rules: Quirks, body: dict[str, Any], expected: dict[str, Any]) -> None:
    assert sent(rules, **body) == expected


def test_a_dropped_tool_takes_its_choice_along() -> None:
    rules = Quirks(drop=frozenset({"tools"}))

    assert sent(rules, tools=[TOOL], tool_choice="auto", parallel_tool_calls=True) == {}


def test_a_required_cap_follows_the_renaming() -> None:
    rules = Quirks(
        rename={"max_tokens": "max_completion_tokens"}, flags=frozenset({"max_tokens_required"})
    )

    assert sent(rules, max_output=2000) == {"max_completion_tokens": 2000}


def test_a_cap_above_what_the_model_can_say_is_lowered() -> None:
    assert sent(Quirks(), max_output=1000, max_tokens=9999) == {"max_tokens": 1000}


def test_a_models_overrides_add_and_take_away() -> None:
    rules = Quirks(drop=frozenset({"seed", "top_p"}), set={"a": 1})
    overrides = {"drop": ["-seed", "user"], "set": {"b": 2}}

    assert sent(rules, overrides, seed=1, top_p=1, user="u") == {"seed": 1, "a": 1, "b": 2}


def test_a_changed_catalog_is_noticed() -> None:
    known = quirks.RulesByModel()
    model = Model("alpha", "m", "M", "m")
    before = Provider("alpha", "Alpha", "https://alpha.test")
    after = Provider("alpha", "Alpha", "https://alpha.test", quirks=flags("no_stream"))

    assert known.of(before, model) is known.of(before, model)
    assert not known.of(after, model).streams


def call(id: str) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}


PARTS = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
IMAGE = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
RESULT = {"role": "tool", "tool_call_id": "x", "content": "14:05"}


@pytest.mark.parametrize(
    ("flag", "given", "expected"),
    [
        (
            "flatten_content",
            [{"role": "user", "content": PARTS}],
            [{"role": "user", "content": "a\nb"}],
        ),
        (
            "flatten_content",
            [{"role": "user", "content": IMAGE}],
            [{"role": "user", "content": IMAGE}],
        ),
        (
            "empty_content_not_null",
            [{"role": "assistant", "content": None, "refusal": None}],
            [{"role": "assistant", "content": ""}],
        ),
        (
            "merge_system",
            [{"role": "system", "content": "a"}, HELLO, {"role": "developer", "content": PARTS}],
            [{"role": "system", "content": "a\n\na\nb"}, HELLO],
        ),
        ("merge_system", [HELLO], [HELLO]),
        (
            "no_user_after_tool",
            [RESULT, HELLO],
            [RESULT, {"role": "assistant", "content": "Noted."}, HELLO],
        ),
    ],
    ids=["text parts", "an image stays", "null content", "several systems", "no system", "bridge"],
)
def test_messages(flag: str, given: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert sent(flags(flag), messages=given)["messages"] == expected


def test_fields_of_messages_are_dropped() -> None:
    rules = Quirks(drop_in_messages=frozenset({"name", "reasoning_content"}))
    given = [{"role": "assistant", "content": "a", "name": "n", "reasoning_content": "r"}]

    assert sent(rules, messages=given)["messages"] == [{"role": "assistant", "content": "a"}]


def test_nine_char_ids_are_the_same_in_the_call_and_its_result() -> None:
    given = [
        {"role": "assistant", "content": None, "tool_calls": [call("call_1"), call("abc123DEF")]},
        {**RESULT, "tool_call_id": "call_1"},
    ]
    asked, result = sent(flags("nine_char_tool_ids"), messages=given)["messages"]

    first, second = (c["id"] for c in asked["tool_calls"])
    assert first == result["tool_call_id"] != "call_1"
    assert len(first) == 9 and first.isalnum()
    assert second == "abc123DEF"


def test_nine_char_ids_do_not_depend_on_the_process() -> None:
    assert messages.nine_chars("call_1") == messages.nine_chars("call_1")
    assert messages.nine_chars("call_1") != messages.nine_chars("call_2")


def test_schemas_are_stripped_but_properties_named_like_keywords_stay() -> None:
    schema = {
        "$schema": "x",
        "type": "object",
        "properties": {"strict": {"type": "object", "additionalProperties": False}},
        "additionalProperties": False,
    }

    assert schemas.stripped(schema) == {
        "type": "object",
        "properties": {"strict": {"type": "object"}},
    }


WANTED = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}


@pytest.mark.parametrize(
    ("flag", "stream", "tools", "degraded"),
    [
        ("json_schema_as_object", False, [], True),
        ("no_schema_with_tools_or_stream", False, [], False),
        ("no_schema_with_tools_or_stream", True, [], True),
        ("no_schema_with_tools_or_stream", False, [TOOL], True),
    ],
)
def test_a_schema_is_asked_for_in_words(
    flag: str, stream: bool, tools: list[dict[str, Any]], degraded: bool
) -> None:
    given = [{"role": "system", "content": "Be brief."}, HELLO]
    got = sent(flags(flag), stream=stream, messages=given, tools=tools, response_format=WANTED)

    assert (got["response_format"] == {"type": "json_object"}) is degraded
    assert ('{"type":"object"}' in got["messages"][0]["content"]) is degraded
    assert got["messages"][0]["content"].startswith("Be brief.")


def test_a_schema_in_words_makes_its_own_system_message() -> None:
    made = schemas.with_instruction([HELLO], {"type": "object"})

    assert [m["role"] for m in made] == ["system", "user"]


@pytest.mark.parametrize(
    ("taken", "effort", "becomes"),
    [
        (("low", "medium", "high"), "medium", "medium"),
        (("low", "medium", "high"), "none", "low"),
        (("low", "medium", "high"), "minimal", "low"),
        (("low", "medium", "high"), "max", "high"),
        (("none", "low"), "none", "none"),
        (("none", "low"), "minimal", "low"),
        (("none", "default"), "high", None),
        (("low", "high"), "of my own", None),
    ],
)
def test_an_effort_becomes_the_nearest_that_is_taken(
    taken: tuple[str, ...], effort: str, becomes: str | None
) -> None:
    rules = Quirks(choices={"reasoning_effort": taken})

    assert sent(rules, reasoning_effort=effort).get("reasoning_effort") == becomes


def test_a_choice_that_is_not_taken_is_left_out() -> None:
    rules = Quirks(choices={"tool_choice": ("auto",)})
    named = {"type": "function", "function": {"name": "f"}}

    assert sent(rules, tools=[TOOL], tool_choice="auto")["tool_choice"] == "auto"
    assert "tool_choice" not in sent(rules, tools=[TOOL], tool_choice=named)


@pytest.mark.parametrize(
    "rules",
    [
        Quirks(choices={"tool_choice": ("auto",)}),
        Quirks(drop=frozenset({"tool_choice"})),
        Quirks(allow=frozenset({"tools"})),
    ],
    ids=["not a choice", "dropped", "not allowed"],
)
def test_no_tools_are_offered_where_none_cannot_be_said(rules: Quirks) -> None:
    body = sent(rules, tools=[TOOL], tool_choice="none")

    assert "tools" not in body
    assert "tool_choice" not in body


def test_a_format_that_is_not_taken_is_asked_for_in_words() -> None:
    rules = Quirks(drop=frozenset({"response_format"}))

    body = sent(rules, response_format={"type": "json_object"})

    assert "response_format" not in body
    assert "one JSON object" in body["messages"][0]["content"]


@pytest.mark.parametrize(("said", "added"), [("Hi.", True), ("As json, please.", False)])
def test_the_word_json_is_said_once(said: str, added: bool) -> None:
    messages = [{"role": "user", "content": said}]

    body = sent(flags("json_word"), messages=messages, response_format={"type": "json_object"})

    assert body["response_format"] == {"type": "json_object"}
    assert (len(body["messages"]) == 2) is added


def test_only_the_first_stop_is_sent_as_a_text() -> None:
    assert sent(flags("one_stop"), stop=["a", "b"])["stop"] == "a"
    assert sent(flags("one_stop"), stop="a")["stop"] == "a"


def test_turns_that_say_nothing_are_left_out() -> None:
    silent = {"role": "assistant", "content": ""}
    calling = {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]}
    messages = [{"role": "user", "content": "a"}, silent, calling]

    assert sent(flags("no_empty_turns"), messages=messages)["messages"] == [
        messages[0],
        calling,
    ]
