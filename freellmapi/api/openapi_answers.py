"""What ``/v1`` answers, as JSON Schema: answers, chunks of streams, models, errors."""

from __future__ import annotations

from typing import Any

from freellmapi.core.errors import POLICY

Json = dict[str, Any]

_TEXT: Json = {"type": ["string", "null"]}
_COUNT: Json = {"type": "integer", "minimum": 0}
_FINISH: Json = {"enum": ["stop", "length", "tool_calls", "content_filter", "function_call", None]}

OWN_CODES: dict[int, tuple[str, ...]] = {
    400: ("invalid_json", "invalid_value"),
    401: ("invalid_api_key",),
    404: ("model_not_found", "not_found"),
    405: ("method_not_allowed",),
    408: ("request_timeout",),
    413: ("request_entity_too_large",),
    422: ("no_capable_model",),
    429: ("rate_limited", "too_many_requests_at_once"),
    499: ("client_closed_request",),
    500: ("internal_error",),
    502: ("all_providers_failed",),
    503: ("no_providers_configured", "server_busy"),
    504: (),
}
"""Those that stand for no single failure of a provider."""
SAYS: dict[int, str] = {
    400: "The request is wrong; param names the place, as in messages[0].role. Or every provider "
    "that could be asked refused it.",
    401: "No token, or one that is not good here.",
    404: "There is no such model, or nothing at this path.",
    405: "Not by this method.",
    408: "A large body did not arrive in time.",
    413: "The body is larger than 25 MB, or the prompt than the model's context.",
    422: "No enabled model can do what the request needs.",
    429: "Caps are used up, or too many requests of this token are under way; Retry-After says "
    "when to come back.",
    499: "The client left before its answer came.",
    500: "Something unexpected happened here; the log has it under X-Request-Id.",
    502: "Every provider that was asked failed.",
    503: "No provider is configured, or none is enabled; or too many large bodies at once.",
    504: "No provider answered in time.",
}


def codes(status: int) -> list[str]:
    """What ``error.code`` may be for a status."""
    of_calls = {policy.code for policy in POLICY.values() if policy.status == status}
    return sorted(of_calls.union(OWN_CODES.get(status, ())) - {"overtaken"})


def error() -> Json:
    """The one shape of all errors."""
    return _object(
        {
            "error": _object(
                {
                    "message": {"type": "string", "minLength": 1},
                    "type": {"type": "string"},
                    "param": _TEXT,
                    "code": _TEXT,
                },
                is_closed=True,
            )
        },
        is_closed=True,
    )


def answers() -> dict[str, Json]:
    """All schemas of answers, by name."""
    return {
        "ChatCompletion": _completion(),
        "ChatCompletionChunk": _chunk(),
        "Usage": _usage(),
        "Model": _model(),
        "ModelList": _object(
            {"object": {"const": "list"}, "data": _list({"$ref": "#/components/schemas/Model"})}
        ),
        "Error": error(),
    }


def _object(required: Json, optional: Json | None = None, *, is_closed: bool = False) -> Json:
    found: Json = {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }
    return {**found, "additionalProperties": False} if is_closed else found


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _call(required: bool) -> Json:
    """A tool call, whole or a piece of one."""
    text = {"type": "string"} if required else _TEXT
    function = {"name": text, "arguments": text}
    call: Json = {"id": text, "type": {"enum": ["function", None]}}
    if required:
        return _object({**call, "function": _object(function)})
    return _object({"index": _COUNT}, {**call, "function": _object({}, function)})


def _completion() -> Json:
    message = _object(
        {"role": {"const": "assistant"}, "content": _TEXT},
        {"tool_calls": _list(_call(True)), "reasoning_content": _TEXT, "refusal": _TEXT},
    )
    choice = _object({"index": _COUNT, "message": message, "finish_reason": _FINISH})
    return _object(
        {
            "id": {"type": "string"},
            "object": {"const": "chat.completion"},
            "created": {"type": "integer"},
            "model": {"type": "string"},
            "choices": {**_list(choice), "minItems": 1},
            "usage": {"$ref": "#/components/schemas/Usage"},
        }
    )


def _chunk() -> Json:
    delta = _object(
        {},
        {
            "role": _TEXT,
            "content": _TEXT,
            "reasoning_content": _TEXT,
            "tool_calls": {"type": ["array", "null"], "items": _call(False)},
        },
    )
    choice = _object({"index": _COUNT, "delta": delta}, {"finish_reason": _FINISH})
    return _object(
        {
            "id": {"type": "string"},
            "object": {"const": "chat.completion.chunk"},
            "created": {"type": "integer"},
            "model": {"type": "string"},
            "choices": _list(choice),
        },
        {"usage": {"anyOf": [{"$ref": "#/components/schemas/Usage"}, {"type": "null"}]}},
    )


def _usage() -> Json:
    return _object(
        {"prompt_tokens": _COUNT, "completion_tokens": _COUNT, "total_tokens": _COUNT},
        {
            "completion_tokens_details": _object({}, {"reasoning_tokens": _COUNT}),
            "prompt_tokens_details": _object({}, {"cached_tokens": _COUNT}),
        },
    )


def _model() -> Json:
    flag = {"type": "boolean"}
    size = {"type": ["integer", "null"], "minimum": 1, "description": "Tokens; null: not known."}
    return _object(
        {
            "id": {"type": "string"},
            "object": {"const": "model"},
            "created": {"type": "integer"},
            "owned_by": {"type": "string"},
            "context_length": size,
            "max_output_tokens": size,
            "supported_parameters": _list({"type": "string"}),
            "capabilities": _object(
                {"tools": flag, "vision": flag, "reasoning": flag, "json_schema": flag}
            ),
            "available": {**flag, "description": "Whether it would be asked now."},
            "unavailable_reason": _TEXT,
        }
    )
