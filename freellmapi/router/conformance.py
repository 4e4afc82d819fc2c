"""Whether an answer is the JSON that the request asked for.

Models that were asked in words, where the provider has no ``json_schema`` of its own, get it
wrong now and then; so do providers that only say that they have one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from freellmapi.core.chat import ChatRequest, Completion

_FENCE = re.compile(r"\s*```(?:json)?[ \t]*\r?\n(.*?)\r?\n?```\s*", re.DOTALL | re.IGNORECASE)
# Keywords whose keys are names of the user's, not keywords.
_NAMED = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})
# A regular expression of the client's could hold the process for minutes, and what stands
# beside patternProperties means nothing without it.
_PATTERNS = frozenset({"pattern", "patternProperties"})
_LONGEST = 200


def unfenced(completion: Completion, chat: ChatRequest) -> Completion:
    """The answer without the Markdown fence around its JSON, if JSON was asked for."""
    if not _format(chat):
        return completion
    message = _message(completion)
    text = message.get("content")
    if not isinstance(text, str):
        return completion
    match = _FENCE.fullmatch(text)
    if match is None:
        return completion
    choice = completion.body["choices"][0]
    said = {**choice, "message": {**message, "content": match[1]}}
    return Completion({**completion.body, "choices": [said]}, completion.usage)


def misfit(completion: Completion, chat: ChatRequest) -> str | None:
    """What is wrong with the JSON of an answer; None if it fits, or nothing was asked.

    A tool call, a refusal and an answer that was cut short are not judged: the client sees
    by itself what they are. A schema that cannot be used forbids nothing.
    """
    wanted = _format(chat)
    if not wanted or not _is_complete(completion):
        return None
    try:
        value = orjson.loads(_message(completion).get("content") or "")
    except orjson.JSONDecodeError as exc:
        return f"JSON was asked for, and the answer is none: {exc}"
    if wanted.get("type") == "json_object":
        return None if isinstance(value, dict) else "a JSON object was asked for"
    named = wanted.get("json_schema")
    schema = named.get("schema") if isinstance(named, Mapping) else None
    return _violation(value, schema) if isinstance(schema, Mapping) else None


def _format(chat: ChatRequest) -> Mapping[str, Any]:
    """The ``response_format`` that asks for JSON; empty if none does."""
    wanted = chat.body.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type") in ("json_object", "json_schema"):
        return wanted
    return {}


def _message(completion: Completion) -> Mapping[str, Any]:
    found: Mapping[str, Any] = completion.body["choices"][0]["message"]
    return found


def _is_complete(completion: Completion) -> bool:
    message = _message(completion)
    if message.get("tool_calls") or message.get("refusal"):
        return False
    return bool(completion.body["choices"][0].get("finish_reason") == "stop")


def _violation(value: Any, schema: Mapping[str, Any]) -> str | None:
    # Costs 7 MB, which an installation that never asks for a schema need not spend.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import UnknownType, best_match
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        # A registry of its own, or the default one would fetch a remote $ref.
        validator = Draft202012Validator(_without_patterns(schema), registry=Registry())
        error = best_match(validator.iter_errors(value))
    except (Unresolvable, UnknownType, RecursionError, TypeError, ValueError, AttributeError):
        return None
    if error is None:
        return None
    return f"the answer does not fit the schema: {error.json_path}: {error.message}"[:_LONGEST]


def _without_patterns(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_patterns(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    left_out = _PATTERNS
    if "patternProperties" in schema:
        left_out |= {"additionalProperties", "unevaluatedProperties"}
    return {
        name: {key: _without_patterns(inner) for key, inner in value.items()}
        if name in _NAMED and isinstance(value, Mapping)
        else _without_patterns(value)
        for name, value in schema.items()
        if name not in left_out
    }
