"""Tools in the forms that clients declare them."""

from __future__ import annotations

from typing import Any

import pytest

from freellmapi.api.tools import MAX_TOOLS, tool_choice_of, tools_of
from freellmapi.core.errors import GatewayError

F = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
BARE = {"name": "f", "parameters": {"type": "object"}}
NAMED = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    "given",
    [{"tools": [F]}, {"tools": [BARE]}, {"functions": [BARE]}, {"tools": [{**BARE, "type": "x"}]}],
    ids=["tools", "bare", "functions", "responses' form"],
)
def test_every_form_of_declaration_is_one(given: dict[str, Any]) -> None:
    assert tools_of(given) == [F]


@pytest.mark.parametrize("given", [{}, {"tools": []}, {"functions": []}])
def test_none_is_none(given: dict[str, Any]) -> None:
    assert tools_of(given) == []


def test_null_fields_are_left_out() -> None:
    tool = {"type": "function", "function": {"name": "f", "description": None, "strict": True}}
    assert tools_of({"tools": [tool]})[0]["function"] == {"name": "f", "strict": True}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"tools": "f"}, "tools"),
        ({"tools": {"f": 1}}, "tools"),
        ({"tools": [F] * (MAX_TOOLS + 1)}, "tools"),
        ({"tools": [F, "f"]}, "tools[1]"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].function"),
        ({"tools": [{"function": {}}]}, "tools[0].function.name"),
        ({"tools": [{"function": {"name": ""}}]}, "tools[0].function.name"),
        ({"tools": [{"name": 3}]}, "tools[0].name"),
        ({"functions": [{"name": 3}]}, "functions[0].name"),
        (
            {"tools": [{"function": {"name": "f", "parameters": "x"}}]},
            "tools[0].function.parameters",
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_path(given: dict[str, Any], path: str) -> None:
    with pytest.raises(GatewayError) as raised:
        tools_of(given)
    assert (raised.value.status, raised.value.param) == (400, path)


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        ({}, None),
        ({"tool_choice": "auto"}, "auto"),
        ({"tool_choice": "none"}, "none"),
        ({"tool_choice": "required"}, "required"),
        ({"tool_choice": "any"}, "required"),
        ({"tool_choice": {"type": "any"}}, "required"),
        ({"tool_choice": {"type": "auto"}}, "auto"),
        ({"tool_choice": NAMED}, NAMED),
        ({"tool_choice": {"type": "function", "name": "f"}}, NAMED),
        ({"tool_choice": {"type": "tool", "name": "f"}}, NAMED),
        ({"function_call": "auto"}, "auto"),
        ({"function_call": {"name": "f"}}, NAMED),
    ],
)
def test_the_choice_is_brought_into_one_form(given: dict[str, Any], choice: object) -> None:
    assert tool_choice_of(given, [F]) == choice


@pytest.mark.parametrize(
    "choice", ["f", 3, ["auto"], {"name": "g"}, {"function": "f"}, {"function": {"name": ["f"]}}]
)
def test_a_choice_of_what_there_is_not_is_refused(choice: object) -> None:
    with pytest.raises(GatewayError) as raised:
        tool_choice_of({"tool_choice": choice}, [F])
    assert raised.value.status == 400
    assert str(raised.value.param).startswith("tool_choice")
