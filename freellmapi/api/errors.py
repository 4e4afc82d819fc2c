"""Whatever ends a request without an answer, in the one OpenAI shape."""

from __future__ import annotations

from flask import Flask, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from freellmapi.api.chat import TOO_LARGE
from freellmapi.api.render import unexpected
from freellmapi.api.responses import error_response
from freellmapi.core.errors import GatewayError


def register(app: Flask) -> None:
    app.register_error_handler(GatewayError, error_response)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, internal_error)


def http_error(error: HTTPException) -> Response:
    """Unknown paths, wrong methods and the like; redirections stay what they are."""
    status = error.code or 500
    if status < 400:
        return error.get_response()
    code = (error.name or "error").lower().replace(" ", "_")
    kind = "invalid_request_error" if status < 500 else "api_error"
    message = _said(error, status, request.path[:200], request.method)
    answer = error_response(GatewayError(status, message, code=code, type=kind))
    answer.headers.extend([(k, v) for k, v in error.get_headers() if k == "Allow"])
    return answer


def internal_error(error: Exception) -> Response:
    return error_response(unexpected(error, g.get("request_id", "")))


def _said(error: HTTPException, status: int, path: str, method: str) -> str:
    if status == 404:
        return f"There is nothing at {path} here."
    if status == 405:
        return f"{path} does not take {method}."
    if status == 413:
        return TOO_LARGE
    return error.description or error.name
