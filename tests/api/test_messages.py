"""Messages of every client's making, brought into one form."""

from __future__ import annotations

import time
from typing import Any

import pytest

from freellmapi.api.messages import messages_of
from freellmapi.core.errors import GatewayError

USER = {"role": "user", "content": "hi"}
PNG = "data:image/png;base64,AAAA"


def call(name: str = "f", id: str | None = None, arguments: Any = "{}") -> dict[str, Any]:
    made = {"type": "function", "function": {"name": name, "arguments": arguments}}
    return made if id is None else made | {"id": id}


def deep(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"role": "user", "content": "hi"}, {"role": "user", "content": "hi"}),
        ({"role": "user", "content": None}, {"role": "user", "content": ""}),
        ({"role": "user"}, {"role": "user", "content": ""}),
        ({"role": "user", "content": []}, {"role": "user", "content": ""}),
        (
            {"role": "user", "content": ["a", {"type": "text", "text": "b"}]},
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
        ),
        (
            {"role": "user", "content": [{"text": "a"}]},
            {"role": "user", "content": [{"text": "a", "type": "text"}]},
        ),
        (
            {"role": "user", "content": {"text": "a"}},
            {"role": "user", "content": [{"text": "a", "type": "text"}]},
        ),
        (
            {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
            {"role": "user", "content": [{"type": "text", "text": "a"}]},
        ),
        (
            {"role": "user", "content": [{"type": "input_image", "image_url": PNG}]},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG}}]},
        ),
        (
            {"role": "user", "content": [{"type": "video", "video": "x"}]},
            {"role": "user", "content": [{"type": "video", "video": "x"}]},
        ),
        (
            {"role": "user", "content": "hi", "name": None, "mood": "good"},
            {"role": "user", "content": "hi", "mood": "good"},
        ),
        ({"role": "developer", "content": "x"}, {"role": "system", "content": "x"}),
        (
            {"role": "assistant", "content": "x", "tool_calls": None, "function_call": None},
            {"role": "assistant", "content": "x"},
        ),
        (
            {"role": "assistant", "content": "x", "tool_calls": []},
            {"role": "assistant", "content": "x"},
        ),
        (
            {"role": "assistant", "content": "", "tool_calls": [call(id="c1")]},
            {"role": "assistant", "content": None, "tool_calls": [call(id="c1")]},
        ),
        (
            {"role": "assistant", "tool_calls": [call(id="c1", arguments={"a": [1, None]})]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [call(id="c1", arguments='{"a":[1,null]}')],
            },
        ),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "f"}, "id": "c1"}]},
            {"role": "assistant", "content": None, "tool_calls": [call(id="c1")]},
        ),
        (
            {"role": "assistant", "tool_calls": [call(id="c1") | {"extra_content": {"x": 1}}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [call(id="c1") | {"extra_content": {"x": 1}}],
            },
        ),
    ],
    ids=[
        "string",
        "null content",
        "no content",
        "empty list",
        "bare strings in a list",
        "text without a type",
        "one part without its list",
        "responses' text part",
        "responses' image part",
        "unknown part is forwarded",
        "null and unknown fields",
        "developer",
        "null calls",
        "no calls",
        "call beside empty text",
        "object arguments",
        "call without arguments or type",
        "unknown fields of a call",
    ],
)
def test_what_clients_write_is_brought_into_one_form(
    given: dict[str, Any], wanted: dict[str, Any]
) -> None:
    assert messages_of({"messages": [given]}) == [wanted]


@pytest.mark.parametrize(
    ("messages", "path"),
    [
        (None, "messages"),
        ([], "messages"),
        ({"role": "user"}, "messages"),
        ("hi", "messages"),
        (["hi"], "messages[0]"),
        ([USER, 3], "messages[1]"),
        ([{"content": "x"}], "messages[0].role"),
        ([USER, USER, {"role": "robot", "content": "x"}], "messages[2].role"),
        ([{"role": ["user"], "content": "x"}], "messages[0].role"),
        ([{"role": "user", "content": 3}], "messages[0].content"),
        ([{"role": "user", "content": [3]}], "messages[0].content[0]"),
        ([{"role": "user", "content": ["a", {}]}], "messages[0].content[1].type"),
        ([{"role": "user", "content": [{"type": 3}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:x"}}]}],
            "messages[0].content[0].image_url.url",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url"}]}],
            "messages[0].content[0].image_url.url",
        ),
        ([{"role": "assistant", "tool_calls": "x"}], "messages[0].tool_calls"),
        ([{"role": "assistant", "tool_calls": ["x"]}], "messages[0].tool_calls[0]"),
        ([{"role": "assistant", "tool_calls": [{}]}], "messages[0].tool_calls[0].function"),
        (
            [{"role": "assistant", "tool_calls": [call(), {"function": {"name": ""}}]}],
            "messages[0].tool_calls[1].function.name",
        ),
        (
            [{"role": "assistant", "tool_calls": [call(arguments=deep(101))]}],
            "messages[0].tool_calls[0].function.arguments",
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_path(messages: Any, path: str) -> None:
    with pytest.raises(GatewayError) as raised:
        messages_of({"messages": messages})
    assert raised.value.status == 400
    assert raised.value.param == path
    assert raised.value.message.startswith(f"{path}: ")


def pairs(*messages: dict[str, Any]) -> tuple[list[str], list[str]]:
    """(ids of the calls, ids that the results answer), each in order."""
    found = messages_of({"messages": list(messages)})
    calls = [c["id"] for message in found for c in message.get("tool_calls", ())]
    return calls, [m["tool_call_id"] for m in found if m["role"] == "tool"]


def result(name: str | None = None, id: str | None = None, role: str = "tool") -> dict[str, Any]:
    message = {"role": role, "content": "x"}
    message |= {} if name is None else {"name": name}
    return message | ({} if id is None else {"tool_call_id": id})


def asks(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": list(calls)}


def test_results_without_ids_answer_the_calls_in_order() -> None:
    calls, answered = pairs(asks(call("f"), call("g")), result(), result())
    assert len(set(calls)) == 2
    assert answered == calls


def test_a_result_that_names_its_function_answers_that_one() -> None:
    calls, answered = pairs(asks(call("f", "a"), call("g", "b")), result("g"), result("f"))
    assert answered == calls[::-1]


def test_a_result_with_an_id_is_not_given_to_another() -> None:
    _, answered = pairs(asks(call("f", "a"), call("f", "b")), result(id="a"), result())
    assert answered == ["a", "b"]


def test_the_older_function_messages_become_tools() -> None:
    asked = {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}
    found = messages_of({"messages": [asked, result("f", role="function")]})
    assert [message["role"] for message in found] == ["assistant", "tool"]
    assert "function_call" not in found[0]
    assert "name" not in found[1]
    assert found[1]["tool_call_id"] == found[0]["tool_calls"][0]["id"]


def test_results_of_no_call_have_ids_of_their_own() -> None:
    _, answered = pairs(result(), result(), asks(call("f", "a")), result())
    assert len(set(answered)) == 3
    assert answered[2] == "a"


def test_ids_are_the_same_for_the_same_history() -> None:
    history = [asks(call("f")), result(), asks(call("f")), result()]
    assert pairs(*history) == pairs(*history)
    assert len(set(pairs(*history)[0])) == 2


def test_a_long_history_takes_linear_time() -> None:
    calls = asks(*(call("f", f"c{i}") for i in range(50_000)))
    results = [result(id=f"c{i}") for i in range(25_000)]
    began = time.monotonic()
    _, answered = pairs(calls, *results, *(result("g") for _ in range(25_000)))
    assert answered[-1] == "c49999"
    assert time.monotonic() - began < 10, "a quadratic one takes minutes"


@pytest.mark.parametrize("arguments", [deep(100), "{" * 500, "not JSON"])
def test_argument_texts_are_not_touched(arguments: str) -> None:
    (found,) = messages_of({"messages": [asks(call(arguments=arguments))]})
    assert found["tool_calls"][0]["function"]["arguments"] == arguments
