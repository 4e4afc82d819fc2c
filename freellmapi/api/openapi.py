"""``GET /v1/openapi.json`` and ``GET /v1/docs``: what ``/v1`` takes and gives.

Both are open to all: they say what the program's sources say, and nothing of this server.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
from flask import Blueprint, Response, render_template, request

from freellmapi import __version__
from freellmapi.api import openapi_answers, openapi_request
from freellmapi.api.schema import MAX_WAIT

Json = dict[str, Any]

bp = Blueprint("openapi", __name__, url_prefix="/v1")

_CHAT_ERRORS = (400, 401, 404, 408, 413, 422, 429, 499, 500, 502, 503, 504)
_MAY_RETRY = (429, 503)


@bp.get("/openapi.json")
def spec() -> Response:
    """The description for programs, OpenAPI 3.1."""
    response = Response(_text(), mimetype="application/json")
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response


@bp.get("/docs")
def docs() -> str:
    """The same for people."""
    return render_template("docs.html", spec=document(), base=f"{request.host_url}v1")


@cache
def _text() -> bytes:
    return orjson.dumps(document())


@cache
def document() -> Json:
    """The whole description; not to be changed."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "FreeLLMAPI",
            "version": __version__,
            "summary": "One OpenAI-compatible endpoint over the free tiers of many providers.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/v1"}],
        "security": [{"bearer": []}, {"header": []}],
        "paths": {
            "/chat/completions": {"post": _chat()},
            "/models": {"get": _models()},
            "/models/{name}": {"get": _model()},
            "/openapi.json": {"get": _spec("This description", "application/json")},
            "/docs": {"get": _spec("The same for people", "text/html")},
        },
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
            "headers": _headers(),
            "schemas": {
                "ChatRequest": openapi_request.chat_request(),
                **openapi_request.parts(),
                **openapi_answers.answers(),
            },
        },
    }


def _chat() -> Json:
    return {
        "operationId": "createChatCompletion",
        "summary": "One answer, whole or streamed",
        "description": "When a provider fails, is slow or is at its cap, the next one is asked "
        "before anything is answered. JSON may be nested up to 100 levels deep.",
        "parameters": _parameters(),
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ref("ChatRequest")}},
        },
        "responses": {
            "200": {
                "description": "The answer. With stream: true, events of a ChatCompletionChunk "
                "each, then [DONE]; comments keep the connection open, and an event with an "
                "error ends a stream that nobody could go on with.",
                "headers": _headers_of("X-Request-Id", *_ROUTE, *_LIMITS),
                "content": {
                    "application/json": {"schema": _ref("ChatCompletion")},
                    "text/event-stream": {
                        "schema": {"type": "string"},
                        "example": 'data: {"id": "...", "object": "chat.completion.chunk", '
                        '"choices": [...]}\n\ndata: [DONE]\n\n',
                    },
                },
            },
            **_errors(*_CHAT_ERRORS),
        },
    }


def _models() -> Json:
    return {
        "operationId": "listModels",
        "summary": "All that model may name",
        "responses": {
            "200": _json("ModelList", "auto, families, then models"),
            **_errors(401, 500),
        },
    }


def _model() -> Json:
    name = {
        "name": "name",
        "in": "path",
        "required": True,
        "description": "May have slashes in it, encoded (%2F) or not.",
        "schema": {"type": "string", "minLength": 1},
        "example": "auto",
    }
    return {
        "operationId": "retrieveModel",
        "summary": "One of them, by any of its names",
        "parameters": [name],
        "responses": {"200": _json("Model", "The model"), **_errors(401, 404, 500)},
    }


def _spec(summary: str, mimetype: str) -> Json:
    kind = "object" if mimetype.endswith("json") else "string"
    content = {mimetype: {"schema": {"type": kind}}}
    return {
        "operationId": "describe" if kind == "object" else "docs",
        "summary": summary,
        "security": [],
        "responses": {
            "200": {
                "description": summary,
                "headers": _headers_of("X-Request-Id"),
                "content": content,
            }
        },
    }


def _parameters() -> list[Json]:
    return [
        _header(
            "X-Session-Id",
            {"type": "string"},
            "Names the conversation, which keeps the model that has answered it.",
        ),
        _header(
            "X-Max-Wait",
            {"type": "number", "minimum": 0, "maximum": MAX_WAIT},
            "Seconds to wait for a slot when everybody is at a cap.",
        ),
        _header(
            "X-Stream-Recovery",
            {"enum": ["continue", "error"]},
            "What becomes of a stream whose provider dies.",
        ),
    ]


def _header(name: str, schema: Json, says: str) -> Json:
    return {"name": name, "in": "header", "description": says, "schema": schema}


_ROUTE = ("X-Routed-Via", "X-Fallback-Attempts", "X-Fallback-Trail")
_LIMITS = tuple(
    f"x-ratelimit-{what}-{of}"
    for what in ("limit", "remaining", "reset")
    for of in ("requests", "tokens")
)


def _headers() -> Json:
    text, number = {"type": "string"}, {"type": "integer", "minimum": 0}
    limits = {
        name: {
            "description": "What the pool has of the served model, where caps are known.",
            "schema": text if "reset" in name else number,
        }
        for name in _LIMITS
    }
    return {
        "X-Request-Id": {"description": "Its id in the log.", "schema": text, "required": True},
        "X-Routed-Via": {"description": "Who answered: provider/model.", "schema": text},
        "X-Fallback-Attempts": {"description": "How many failed before.", "schema": number},
        "X-Fallback-Trail": {"description": "Which, and how.", "schema": text},
        "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}},
        **limits,
    }


def _headers_of(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: str, says: str) -> Json:
    return {
        "description": says,
        "headers": _headers_of("X-Request-Id"),
        "content": {"application/json": {"schema": _ref(schema)}},
    }


def _errors(*statuses: int) -> Json:
    return {str(status): _error(status) for status in statuses}


def _error(status: int) -> Json:
    found = _json("Error", openapi_answers.SAYS[status])
    found["description"] += f" Codes: {', '.join(openapi_answers.codes(status))}."
    if status in _MAY_RETRY:
        found["headers"] |= _headers_of("Retry-After")
    return found
