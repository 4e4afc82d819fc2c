"""What ``POST /v1/chat/completions`` takes, as JSON Schema: from the same tables that check it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from freellmapi.api import schema
from freellmapi.api.messages import IMAGE_SCHEMES, PART_ALIASES, ROLES
from freellmapi.api.tools import CHOICES, MAX_TOOLS

Json = dict[str, Any]

_TYPES: Mapping[type, str] = {bool: "boolean", dict: "object", str: "string"}
_SAYS: Mapping[str, str] = {
    "temperature": "How much chance decides.",
    "top_p": "Only the likeliest tokens of this much probability.",
    "presence_penalty": "Keeps from what was said at all.",
    "frequency_penalty": "Keeps from what was said often.",
    "seed": "The same seed may give the same answer.",
    "top_logprobs": "How many alternatives to show for each token.",
    "logprobs": "Whether to show probabilities.",
    "parallel_tool_calls": "Whether one answer may call several tools.",
    "logit_bias": "Token ids, and by how much each is made likelier.",
    "reasoning_effort": "For models that reason: usually low, medium or high.",
    "user": "Whose request it is; it also names the conversation.",
}
_NAME: Json = {"type": "string", "minLength": 1}
_IMAGE_URL: Json = {"type": "string", "pattern": f"^({'|'.join(map(re.escape, IMAGE_SCHEMES))})"}


def _kinds(meaning: str) -> list[str]:
    return [meaning, *(alias for alias, of in PART_ALIASES.items() if of == meaning)]


def chat_request() -> Json:
    """The body. A null counts as left out; fields not named here are passed on."""
    return {
        "type": "object",
        "required": ["messages"],
        "properties": {
            **{name: _or_null(found) for name, found in _own_fields().items()},
            **{name: _or_null(found) for name, found in _knobs().items()},
            "messages": {
                "type": "array",
                "minItems": 1,
                "items": {"$ref": "#/components/schemas/Message"},
            },
        },
        "additionalProperties": True,
        "example": {"model": "auto", "messages": [{"role": "user", "content": "Hello"}]},
    }


def _or_null(found: Json) -> Json:
    says = {"description": found.pop("description")} if "description" in found else {}
    if isinstance(found.get("type"), str) and not found.keys() & {"enum", "const"}:
        return {**found, **says, "type": [found["type"], "null"]}
    return {"anyOf": [found, {"type": "null"}], **says}


def _own_fields() -> dict[str, Json]:
    """Those that the gateway itself reads."""
    name = {"type": "string", "maxLength": schema.MAX_NAME_LENGTH}
    names = {
        "type": "array",
        "maxItems": schema.MAX_NAMES,
        "items": {**name, "pattern": r"\S"},
        "description": "Asked after model, in this order: the request's own chain.",
    }
    tokens = {"type": "integer", "description": "The most tokens to answer with; 0 is no cap."}
    tools = {
        "type": "array",
        "maxItems": MAX_TOOLS,
        "items": {"$ref": "#/components/schemas/Tool"},
        "description": "Functions that the model may call.",
    }
    choice = {
        **_tool_choice(),
        "description": "Which of the tools to call; any is required. Not read without tools.",
    }
    return {
        "model": {**name, "description": "auto, auto:fast, a model, or provider/model."},
        "models": dict(names),
        "fallbacks": dict(names),
        "stream": {"type": "boolean", "description": "Answer by server-sent events."},
        "stream_options": {
            "type": "object",
            "properties": {"include_usage": {}},
            "description": "include_usage: true sends the tokens used in a last chunk.",
        },
        "n": {"type": "integer", "const": 1, "description": "One answer is given."},
        "max_tokens": dict(tokens),
        "max_completion_tokens": dict(tokens),
        "stop": {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
            "description": f"Where to end; the first {schema.MAX_STOPS} count.",
        },
        "tools": dict(tools),
        "functions": {**tools, "description": "The older form of tools; not read beside it."},
        "tool_choice": dict(choice),
        "function_call": {
            **choice,
            "description": "The older form of tool_choice; not read beside it.",
        },
        "response_format": {**_response_format(), "description": "What form the answer takes."},
        "session_id": {
            "description": "A text that names the conversation, which keeps its model; anything "
            "else names none.",
        },
    }


def _knobs() -> dict[str, Json]:
    """Those that are passed on, by the tables that check them."""
    found: dict[str, Json] = {}
    for name, (low, high) in schema.NUMBERS.items():
        found[name] = {"type": "number", "minimum": low, "maximum": high}
    for name, (least, most) in schema.INTEGERS.items():
        found[name] = {"type": "integer", "minimum": least, "maximum": most}
    for name, kind in schema.KINDS.items():
        found[name] = {"type": _TYPES[kind]}
    return {name: {**kind, "description": _SAYS[name]} for name, kind in found.items()}


def _tool_choice() -> Json:
    named = {"type": "object", "required": ["name"], "properties": {"name": _NAME}}
    return {
        "anyOf": [
            {"type": "string", "enum": [*CHOICES, "any"]},
            {
                "type": "object",
                "required": ["type"],
                "properties": {"type": {"enum": [*CHOICES, "any"]}},
            },
            {"type": "object", "required": ["function"], "properties": {"function": named}},
            named,
        ]
    }


def _response_format() -> Json:
    wanted = {
        "type": "object",
        "required": ["schema"],
        "properties": {"schema": {"type": "object"}},
    }
    return {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": ["text", "json_object", "json_schema"]}},
        "if": {"properties": {"type": {"const": "json_schema"}}},
        "then": {"required": ["json_schema"], "properties": {"json_schema": wanted}},
    }


def parts() -> dict[str, Json]:
    """The schemas that the body is made of, by name."""
    return {"Message": _message(), "Part": _part(), "Tool": _tool()}


def _message() -> Json:
    part = {"$ref": "#/components/schemas/Part"}
    function = {"type": "object", "required": ["name"], "properties": {"name": _NAME}}
    call = {"type": "object", "required": ["function"], "properties": {"function": function}}
    calls = {"type": ["array", "null"], "items": call}
    return {
        "type": "object",
        "required": ["role"],
        "properties": {
            "role": {"enum": list(ROLES), "description": "developer counts as system."},
            "content": {
                "anyOf": [
                    {"type": ["string", "null"]},
                    {"type": "array", "items": part},
                    {"type": "object", "allOf": [part]},
                ]
            },
            "tool_call_id": {
                "description": "Of a tool's result; without it, that of the next open call."
            },
        },
        "if": {"properties": {"role": {"const": "assistant"}}},
        "then": {
            "properties": {
                "tool_calls": calls,
                "function_call": {"anyOf": [function, {"type": "null"}]},
            }
        },
        "additionalProperties": True,
    }


def _part() -> Json:
    text, image = _kinds("text"), _kinds("image_url")
    url = {"anyOf": [_IMAGE_URL, {"type": "object", "required": ["url"]}]}
    url["anyOf"][1]["properties"] = {"url": _IMAGE_URL}
    return {
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "required": ["text"],
                "properties": {"type": {"enum": [*text, None]}, "text": {"type": "string"}},
            },
            {
                "type": "object",
                "required": ["type", "image_url"],
                "properties": {"type": {"enum": image}, "image_url": url},
            },
            {
                "type": "object",
                "required": ["type"],
                "properties": {"type": {"type": "string", "not": {"enum": [*text, *image]}}},
                "description": "Other parts are passed on as they are.",
            },
        ]
    }


def _tool() -> Json:
    function = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": _NAME,
            "description": {},
            "parameters": {"type": ["object", "null"], "description": "A JSON Schema."},
        },
    }
    wrapped = {"type": "object", "required": ["function"], "properties": {"function": function}}
    bare = {**function, "not": {"required": ["function"]}}
    return {"anyOf": [wrapped, bare]}
