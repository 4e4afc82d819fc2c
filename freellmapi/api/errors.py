"""Whatever ends a request without an answer, in the one OpenAI shape."""

from __future__ import annotations

import logging

from flask import Flask, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from freellmapi.api.chat import MAX_BODY
from freellmapi.api.render import error_response
from freellmapi.core.errors import GatewayError

log = logging.getLogger(__name__)


def register(app: Flask) -> None:
    app.register_error_handler(GatewayError, error_response)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, internal_error)


def response(error: Exception, path: str, method: str, request_id: str) -> Response:
    """What a request to this address that ended so is answered."""
    if isinstance(error, GatewayError):
        return error_response(error)
    if isinstance(error, HTTPException):
        return _http(error, path, method)
    log.error("request=%s failed unexpectedly", request_id, exc_info=error)
    return error_response(
        GatewayError(
            500,
            "Something unexpected happened here. The log has it under this X-Request-Id.",
            code="internal_error",
            type="api_error",
        )
    )


def http_error(error: HTTPException) -> Response:
    """Unknown paths, wrong methods and the like; redirections stay what they are."""
    return _http(error, request.path, request.method)


def internal_error(error: Exception) -> Response:
    """The outermost edge: whatever nobody expected is logged and answered, never shown."""
    return response(error, request.path, request.method, g.get("request_id", ""))


def _http(error: HTTPException, path: str, method: str) -> Response:
    status = error.code or 500
    if status < 400:
        return error.get_response()
    code = (error.name or "error").lower().replace(" ", "_")
    kind = "invalid_request_error" if status < 500 else "api_error"
    message = _said(error, status, path[:200], method)
    answer = error_response(GatewayError(status, message, code=code, type=kind))
    answer.headers.extend([(k, v) for k, v in error.get_headers() if k == "Allow"])
    return answer


def _said(error: HTTPException, status: int, path: str, method: str) -> str:
    if status == 404:
        return f"There is nothing at {path} here."
    if status == 405:
        return f"{path} does not take {method}."
    if status == 413:
        return f"The request body is larger than {MAX_BODY // 2**20} MB."
    return error.description or error.name
