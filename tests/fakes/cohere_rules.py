"""What Cohere refuses, in its own words: the strict half of the fake Cohere.

Sources: error bodies in public issue threads up to 2026-10, the types of Cohere's SDK 7.3.1,
docs.cohere.com (repository of 2026-08-20).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

TOP = frozenset(
    "model stream messages tools tool_choice response_format documents citation_options "
    "safety_mode max_tokens stop_sequences temperature seed frequency_penalty presence_penalty "
    "k p logprobs strict_tools thinking priority".split()
)
MESSAGES = {
    "system": frozenset({"role", "content"}),
    "user": frozenset({"role", "content"}),
    "assistant": frozenset({"role", "content", "tool_calls", "tool_plan", "citations"}),
    "tool": frozenset({"role", "content", "tool_call_id"}),
}
RANGES = {
    "temperature": (0, 1),
    "p": (0.01, 0.99),
    "k": (0, 500),
    "frequency_penalty": (0, 1),
    "presence_penalty": (0, 1),
    "seed": (0, 2**64 - 1),
    "max_tokens": (1, 10**6),
}
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
UNSUPPORTED = frozenset(
    "allOf oneOf not if then else minimum maximum multipleOf minItems maxItems uniqueItems "
    "contains minLength maxLength patternProperties minProperties maxProperties $schema "
    "propertyNames additionalProperties pattern".split()
)
NEW_ENOUGH = re.compile(r"command-(a|r7b)|north")
"""Models that take ``tool_choice``."""


class Refused(Exception):
    """A refusal: its status, and the message of its body."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def check(body: Mapping[str, Any]) -> None:
    """Raises ``Refused`` as Cohere would."""
    for name in body:
        if name not in TOP:
            raise Refused(f"invalid request: unknown field: parameter '{name}' is not a valid", 422)
    _settings(body)
    names = _tools(body)
    _choice(body, names)
    _form(body, bool(names))
    _messages(body.get("messages"))


def _settings(body: Mapping[str, Any]) -> None:
    for name, (low, high) in RANGES.items():
        if name in body and not low <= body[name] <= high:
            raise Refused(f"invalid request: {name} must be between {low} and {high} inclusive")
    if body.get("frequency_penalty") is not None and body.get("presence_penalty") is not None:
        raise Refused(
            "invalid request: only one of frequency_penalty and presence_penalty may be set"
        )
    if len(body.get("stop_sequences", ())) > 5:
        raise Refused("invalid request: too many stop_sequences, the maximum is 5")
    if not isinstance(body.get("logprobs", False), bool):
        raise Refused("invalid type: parameter logprobs is of type int but should be bool", 422)
    thinking = body.get("thinking")
    if thinking is not None:
        if thinking.get("type") not in ("enabled", "disabled"):
            raise Refused("invalid request: thinking.type must be enabled or disabled")
        if thinking.keys() - {"type", "token_budget"} or thinking.get("token_budget", 1) < 1:
            raise Refused("invalid request: thinking.token_budget must be positive")
        if not re.search("reasoning|plus-05|north", body["model"]):
            raise Refused("thinking is not supported by the model provided")


def _tools(body: Mapping[str, Any]) -> list[str]:
    names: list[str] = []
    for tool in body.get("tools", ()):
        function = tool.get("function", {})
        if tool.get("type") != "function" or function.keys() - {
            "name",
            "description",
            "parameters",
        }:
            raise Refused("invalid request: unknown field in tools", 422)
        if not NAME.fullmatch(function["name"]):
            raise Refused(
                "invalid request: tool names can only contain certain characters (A-Za-z0-9_) "
                "and can't begin with a digit"
            )
        if function["name"] in names:
            raise Refused("invalid request: duplicate tool names are not allowed")
        names.append(function["name"])
        schema = function.get("parameters")
        if not isinstance(schema, dict) or schema.get("type") != "object":
            raise Refused("invalid request: tool parameters must be a JSON schema of an object")
        if schema.keys() & {"$schema", "additionalProperties"}:
            raise Refused("invalid tool schema: unsupported keyword")
    if "tools" in body and not names:
        raise Refused("invalid request: tools must not be empty")
    return names


def _choice(body: Mapping[str, Any], names: list[str]) -> None:
    choice = body.get("tool_choice")
    if choice is None:
        return
    if choice not in ("REQUIRED", "NONE"):
        raise Refused("invalid request: tool_choice must be one of REQUIRED, NONE", 422)
    if not names:
        raise Refused("invalid request: tool_choice requires tools")
    if not NEW_ENOUGH.match(body["model"]):
        raise Refused("tool_choice is not supported by the model provided")


def _form(body: Mapping[str, Any], has_tools: bool) -> None:
    form = body.get("response_format")
    if form is None:
        return
    if form.get("type") not in ("text", "json_object") or form.keys() - {"type", "json_schema"}:
        raise Refused("invalid request: response_format.type must be text or json_object", 422)
    if has_tools or body.get("documents"):
        raise Refused("invalid request: cannot specify response_format with tools or documents")
    if "json_schema" in form:
        _schema(form["json_schema"], top=True)


def _schema(schema: Any, top: bool = False) -> None:
    if not isinstance(schema, dict):
        raise Refused("invalid 'json_schema' provided: not an object")
    if top and schema.get("type") != "object":
        raise Refused("invalid 'json_schema' provided: top level must be an object")
    if schema.keys() & UNSUPPORTED:
        raise Refused("invalid 'json_schema' provided: unsupported keyword")
    if schema.get("type") == "object" and not schema.get("required"):
        raise Refused("invalid 'json_schema' provided: missing required field 'required'")
    for inner in schema.get("properties", {}).values():
        _schema(inner)
    if "items" in schema:
        _schema(schema["items"])
    for inner in schema.get("anyOf", ()):
        _schema(inner)


def _messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise Refused("invalid request: messages must be specified")
    open_calls: list[str] = []
    for index, message in enumerate(messages):
        allowed = MESSAGES.get(message.get("role"))
        if allowed is None:
            raise Refused(
                f"invalid request: message at index {index} has an invalid role: must be one of "
                "user, assistant, tool, system"
            )
        if message.keys() - allowed:
            raise Refused(f"invalid request: unknown field in messages[{index}]", 422)
        if message["role"] == "tool":
            if message.get("tool_call_id") not in open_calls:
                raise Refused("invalid request: tool_call_id not found in the preceding tool_calls")
            open_calls.remove(message["tool_call_id"])
        elif open_calls:
            raise Refused("invalid request: all tool calls must have a corresponding tool result")
        _content(message, index)
        if message.get("tool_calls"):
            open_calls = _calls(message["tool_calls"], message.get("content"))
    if open_calls:
        raise Refused("invalid request: all tool calls must have a corresponding tool result")


def _calls(calls: list[dict[str, Any]], content: Any) -> list[str]:
    if content is not None:
        raise Refused("invalid request: text beside tool_calls belongs into tool_plan")
    for call in calls:
        function = call["function"]
        if call.keys() != {"id", "type", "function"} or function.keys() != {"name", "arguments"}:
            raise Refused("invalid request: unknown field in tool_calls", 422)
        if not isinstance(function["arguments"], str) or not NAME.fullmatch(function["name"]):
            raise Refused("invalid request: invalid tool call")
    ids = [call["id"] for call in calls]
    if len(set(ids)) != len(ids):
        raise Refused("invalid request: duplicate tool call ids")
    return ids


def _content(message: Mapping[str, Any], index: int) -> None:
    content = message.get("content")
    if not content and not message.get("tool_calls"):
        raise Refused(
            f"invalid request: message at index {index} must have non-empty content or tool calls"
        )
    for part in content if isinstance(content, list) else ():
        kind = part.get("type")
        if message["role"] != "user" or kind not in ("text", "image_url"):
            raise Refused(f"invalid request: messages[{index}] has a content type {kind}", 422)
        if not part.get(kind) or part.keys() != {"type", kind}:
            raise Refused(f"invalid request: messages[{index}] has an empty content part", 422)
