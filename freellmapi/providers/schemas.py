"""JSON schemas in requests, cut down to what a provider takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

_STRIPPED = frozenset({"$schema", "additionalProperties", "strict"})
NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions"})
"""Keywords whose keys are names of the user's, not keywords."""


def strip_schemas(body: dict[str, Any]) -> None:
    """Leave ``$schema``, ``additionalProperties`` and ``strict`` out of the tools' schemas."""
    tools = body.get("tools")
    if isinstance(tools, list):
        body["tools"] = [_stripped_tool(tool) for tool in tools]


def _stripped_tool(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict):
        return tool
    kept = {name: value for name, value in function.items() if name != "strict"}
    if "parameters" in kept:
        kept["parameters"] = stripped(kept["parameters"])
    return {**tool, "function": kept}


def stripped(schema: Any) -> Any:
    """A copy without the keywords; a property that is named like one stays."""
    if isinstance(schema, list):
        return [stripped(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: {key: stripped(inner) for key, inner in value.items()}
        if name in NAMED and isinstance(value, dict)
        else stripped(value)
        for name, value in schema.items()
        if name not in _STRIPPED
    }


def format_in_words(body: dict[str, Any]) -> None:
    """Ask for JSON in words only, where there is no ``response_format``."""
    wanted = body.pop("response_format", None)
    if not isinstance(wanted, dict) or wanted.get("type") not in ("json_object", "json_schema"):
        return
    named = wanted.get("json_schema")
    schema = named.get("schema", {}) if isinstance(named, dict) else {}
    body["messages"] = with_instruction(body["messages"], schema)


def say_json(body: dict[str, Any]) -> None:
    """Put the word into the messages, if ``json_object`` is asked for and none has it."""
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_object":
        return
    if b"json" not in orjson.dumps(body["messages"]).lower():
        body["messages"] = with_instruction(body["messages"], {})


def schema_as_object(body: dict[str, Any]) -> None:
    """Ask for any JSON object, and for the schema in words, instead of by ``json_schema``."""
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return
    body["response_format"] = {"type": "json_object"}
    named = wanted.get("json_schema")
    schema = named.get("schema", {}) if isinstance(named, dict) else {}
    body["messages"] = with_instruction(body["messages"], schema)


def with_instruction(messages: list[Any], schema: Mapping[str, Any]) -> list[Any]:
    """The messages with the schema stated in the first system message, made if need be."""
    return with_text(
        messages,
        "Answer with one JSON object and nothing else. It must fit this JSON schema:\n"
        + orjson.dumps(schema).decode(),
    )


def with_text(messages: list[Any], text: str) -> list[Any]:
    """The messages with ``text`` at the end of the first system message, made if need be."""
    first = messages[0] if messages else None
    if isinstance(first, dict) and first.get("role") == "system":
        if isinstance(first.get("content"), str):
            return [{**first, "content": f"{first['content']}\n\n{text}"}, *messages[1:]]
        return [first, {"role": "system", "content": text}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def schema_as_object_if_busy(body: dict[str, Any]) -> None:
    """The same, only where tools or a stream are asked for too."""
    if body.get("tools") or body.get("stream"):
        schema_as_object(body)


STEPS: tuple[tuple[str, Callable[[dict[str, Any]], None]], ...] = (
    ("json_schema_as_object", schema_as_object),
    ("no_schema_with_tools_or_stream", schema_as_object_if_busy),
    ("json_word", say_json),
    ("strip_schema", strip_schemas),
)
"""What is done to a body under each flag, in order."""
