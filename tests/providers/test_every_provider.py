"""Every provider of the catalog, asked through the real gateway, against its strict imitation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.fakes.dialect import dialects
from tests.fakes.voices import Spoken
from tests.providers.everyone import Answered, House, a_house, able, catalog

EVERY = able()
WITH_TOOLS = able("tools")
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhf"
    "DwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
KNOBS = {
    "temperature": 1.7,
    "top_p": 1,
    "max_tokens": 8,
    "stop": ["a", "b", "c", "d", "e"],
    "n": 1,
    "seed": 7,
    "presence_penalty": -1.5,
    "frequency_penalty": 1.5,
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "top_logprobs": 2,
    "user": "me",
    "store": False,
    "metadata": {"a": "b"},
    "service_tier": "auto",
    "parallel_tool_calls": True,
    "top_k": 40,
    "min_p": 0.1,
    "repetition_penalty": 1.1,
}
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def tool(name: str, **more: Any) -> dict[str, Any]:
    parameters = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"city": {"type": "string", "description": "which", **more}},
        "required": ["city"],
        "additionalProperties": False,
    }
    function = {"name": name, "description": "looks it up", "parameters": parameters}
    return {"type": "function", "function": function}


TIME, WEATHER = tool("get_time"), tool("get_weather")
CITY = {
    "type": "json_schema",
    "json_schema": {
        "name": "city",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "large": {"type": "boolean"}},
            "required": ["city", "large"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def long_lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with a_house(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture
def house(long_lived: House) -> House:
    long_lived.them.reset()
    return long_lived


def ids(refs: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("ref", refs, ids=[ref.partition("/")[0] for ref in refs])


def takes_seeds(ref: str) -> bool:
    takes = dialects()[ref.partition("/")[0]].takes
    known = takes.only is None or bool(takes.only & {"seed", "random_seed"})
    return known and "seed" not in takes.refused and not takes.unknown_refused


def served(house: House, answered: Answered) -> Answered:
    """The answer, when the provider had nothing to object to."""
    assert house.them.refusals == []
    assert answered.error is None, str(answered.error)
    assert answered.broken is None, answered.broken
    assert house.failures == []
    return answered


def speaks(ref: str) -> Any:
    return dialects()[ref.partition("/")[0]].speaks


def results(answered: Answered) -> list[dict[str, Any]]:
    return [
        {"role": "tool", "tool_call_id": call["id"], "content": "14:05"} for call in answered.calls
    ]


def test_there_is_an_imitation_of_every_provider() -> None:
    assert set(dialects()) == set(catalog().providers)


def test_every_provider_has_a_model_to_ask() -> None:
    assert {ref.partition("/")[0] for ref in EVERY} == set(catalog().providers)


@pytest.mark.parametrize("provider", sorted(set(dialects()) - {"local", "custom", "compat"}))
def test_it_is_asked_where_it_is(provider: str) -> None:
    url = urlsplit(catalog().providers[provider].base_url)
    known = urlsplit(dialects()[provider].base_url)

    assert (url.scheme, url.netloc) == (known.scheme, known.netloc)


@ids(EVERY)
@STREAMED
def test_an_answer(house: House, ref: str, stream: bool) -> None:
    answered = served(house, house.ask(ref, "Good morning.", stream=stream))

    assert answered.text == "Hello there."
    assert answered.finish == "stop"
    assert answered.reasoning.strip() == ("Let me see." if speaks(ref).reasoning else "")
    assert len(house.them.requests) == 1


@ids(EVERY)
def test_an_answer_is_counted(house: House, ref: str) -> None:
    whole = served(house, house.ask(ref, "Hi.")).usage
    options = {"include_usage": True}
    streamed = served(house, house.ask(ref, "Hi.", stream=True, stream_options=options)).usage

    assert streamed is not None and streamed["completion_tokens"] > 0
    if speaks(ref).usage not in ("kudos", "none"):
        assert whole is not None
        given = {"cohere": (70, 5), "google": (7, 5)}.get(ref.partition("/")[0], (7, 5))
        for usage in (whole, streamed):
            assert (usage["prompt_tokens"], usage["completion_tokens"]) == given


@ids(EVERY)
def test_no_usage_is_sent_that_was_not_asked_for(house: House, ref: str) -> None:
    assert served(house, house.ask(ref, "Hi.", stream=True)).usage is None


@ids(WITH_TOOLS)
@STREAMED
def test_a_tool_call_and_its_result(house: House, ref: str, stream: bool) -> None:
    asked = {"role": "user", "content": "Use the tool."}
    answered = served(house, house.ask(ref, asked, tools=[TIME], stream=stream))

    (call,) = answered.calls
    assert answered.finish == "tool_calls"
    assert call["function"]["name"] == "get_time"
    assert json.loads(call["function"]["arguments"]) == {"city": "Oslo"}

    history = [asked, answered.message, *results(answered)]
    again = served(house, house.ask(ref, *history, tools=[TIME], stream=stream))
    assert again.text == "Hello there."


@ids(WITH_TOOLS)
@STREAMED
def test_parallel_tool_calls(house: House, ref: str, stream: bool) -> None:
    asked = {"role": "user", "content": "Use the tools."}
    answered = served(house, house.ask(ref, asked, tools=[TIME, WEATHER], stream=stream))

    names = [call["function"]["name"] for call in answered.calls]
    assert names == (["get_time"] if speaks(ref).one_call else ["get_time", "get_weather"])
    assert len({call["id"] for call in answered.calls}) == len(names)

    history = [asked, answered.message, *results(answered)]
    again = served(house, house.ask(ref, *history, tools=[TIME, WEATHER], stream=stream))
    assert again.text == "Hello there."


@ids([r for r in WITH_TOOLS if catalog().providers[r.partition("/")[0]].wire == "openai"])
@STREAMED
def test_a_tool_call_written_as_text(house: House, ref: str, stream: bool) -> None:
    said = (
        "<tool",
        '_call>{"name": "get_time", "argu',
        'ments": {"city": "Oslo"}}</tool_',
        "call>",
    )
    house.them.script = [Spoken(speaks(ref), "x", said)]

    answered = served(house, house.ask(ref, "Use the tool.", tools=[TIME], stream=stream))

    (call,) = answered.calls
    assert answered.finish == "tool_calls"
    assert json.loads(call["function"]["arguments"]) == {"city": "Oslo"}
    assert not answered.text.strip()


@ids(WITH_TOOLS)
@pytest.mark.parametrize(
    "choice",
    ["auto", "none", "required", {"type": "function", "function": {"name": "get_weather"}}],
    ids=["auto", "none", "required", "named"],
)
def test_a_tool_choice_is_never_refused(house: House, ref: str, choice: Any) -> None:
    said = "Do not use a tool." if choice == "none" else "Hi."
    asked = house.ask(ref, said, tools=[TIME, WEATHER], tool_choice=choice)

    if choice not in ("none", "auto") and not catalog().by_ref[ref].tool_choice:
        # Nobody is asked who cannot be held to it.
        assert asked.error is not None
        assert (asked.error.status, asked.error.code) == (422, "no_capable_model")
        assert house.them.requests == []
        return
    answered = served(house, asked)
    if choice in ("none", "auto"):
        assert not answered.calls
    else:
        names = [call["function"]["name"] for call in answered.calls]
        assert names[-1:] == ["get_time" if speaks(ref).one_call else "get_weather"] or (
            isinstance(choice, dict) and names == ["get_weather"]
        )


@ids(able("vision"))
def test_an_image_beside_instructions_of_two_roles(house: House, ref: str) -> None:
    image = {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}
    said = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]},
    ]

    served(house, house.ask(ref, *said))

    assert b"iVBORw0KGgo" in house.them.requests[0].body


@ids(EVERY)
def test_text_in_parts_and_empty_turns(house: House, ref: str) -> None:
    parts = [{"type": "text", "text": "Good"}, "morning.", {"text": "Again."}]
    said = [
        {"role": "system", "content": parts},
        {"role": "user", "content": parts, "name": "ann"},
        {"role": "assistant", "content": None, "refusal": None, "annotations": []},
        {"role": "user", "content": parts},
    ]

    served(house, house.ask(ref, *said))


@ids(able("json_schema"))
@STREAMED
def test_json_by_a_schema(house: House, ref: str, stream: bool) -> None:
    answered = served(house, house.ask(ref, "Which?", response_format=CITY, stream=stream))

    assert json.loads(answered.text) == {"city": "Oslo", "large": True}


@ids(EVERY)
@STREAMED
def test_a_json_object(house: House, ref: str, stream: bool) -> None:
    wanted = {"type": "json_object"}

    served(house, house.ask(ref, "Which city?", response_format=wanted, stream=stream))


@ids(able("tools", "json_schema"))
def test_a_schema_beside_tools(house: House, ref: str) -> None:
    served(house, house.ask(ref, "Hi.", tools=[TIME], response_format=CITY))


@pytest.mark.parametrize("ref", [m.ref for m in catalog().models])
@STREAMED
def test_a_setting_is_never_refused(house: House, ref: str, stream: bool) -> None:
    tools = [TIME] if catalog().by_ref[ref].tools else []

    answered = served(house, house.ask(ref, "Hi.", tools=tools, stream=stream, **KNOBS))

    assert answered.text == "Hello there."


@pytest.mark.parametrize("ref", [m.ref for m in catalog().models])
def test_an_effort_is_never_refused(house: House, ref: str) -> None:
    for effort in EFFORTS:
        served(house, house.ask(ref, "Hi.", reasoning_effort=effort))


@ids(EVERY)
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_cap_reaches_the_provider(house: House, ref: str, name: str) -> None:
    served(house, house.ask(ref, "Hi.", **{name: 77}))

    assert b"77" in house.them.requests[0].body


@ids([r for r in EVERY if takes_seeds(r)])
def test_a_seed_reaches_the_provider(house: House, ref: str) -> None:
    served(house, house.ask(ref, "Hi.", seed=424242))

    assert b"424242" in house.them.requests[0].body


@ids(EVERY)
def test_the_lowest_settings_are_never_refused(house: House, ref: str) -> None:
    served(house, house.ask(ref, "Hi.", temperature=0, top_p=0, stop="a", max_tokens=1))


@pytest.mark.parametrize(
    "ref",
    [r for r in EVERY if (d := dialects()[r.partition("/")[0]].takes).only or d.unknown_refused],
)
def test_an_unknown_field_is_kept_from_a_strict_provider(house: House, ref: str) -> None:
    served(house, house.ask(ref, "Hi.", a_field_of_tomorrow=1))


@ids(WITH_TOOLS)
@STREAMED
def test_a_history_from_another_provider(house: House, ref: str, stream: bool) -> None:
    calls = [
        {
            "id": id,
            "type": "function",
            "function": {"name": name, "arguments": '{"city": "Oslo"}'},
            "index": index,
        }
        for index, (id, name) in enumerate(
            [
                ("call_8dTzyiLzUdhvFeJ0a1b2c3d4", "get_time"),
                ("functions.get_weather:1", "get_weather"),
            ]
        )
    ]
    said = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Time and weather?"},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "I look both up.",
            "refusal": None,
            "annotations": [],
            "audio": None,
            "function_call": None,
            "tool_calls": calls,
        },
        {"role": "tool", "tool_call_id": calls[0]["id"], "content": "14:05", "name": "get_time"},
        {
            "role": "tool",
            "tool_call_id": calls[1]["id"],
            "content": [{"type": "text", "text": "r"}],
        },
        {"role": "user", "content": "And tomorrow?"},
    ]

    answered = served(house, house.ask(ref, *said, tools=[TIME, WEATHER], stream=stream))

    assert answered.text == "Hello there."
