"""Whatever ends a request without an answer, in the one OpenAI shape."""

from __future__ import annotations

import logging

from flask import Flask, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from freellmapi.api.render import error_response
from freellmapi.core.errors import GatewayError

log = logging.getLogger(__name__)


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
    response = error_response(GatewayError(status, _said(error, status), code=code, type=kind))
    response.headers.extend([(k, v) for k, v in error.get_headers() if k == "Allow"])
    return response


def internal_error(error: Exception) -> Response:
    """The outermost edge: whatever nobody expected is logged and answered, never shown."""
    log.exception("request=%s failed unexpectedly", g.get("request_id", ""))
    return error_response(
        GatewayError(
            500,
            "Something unexpected happened here. The log has it under this X-Request-Id.",
            code="internal_error",
            type="api_error",
        )
    )


def _said(error: HTTPException, status: int) -> str:
    path = request.path[:200]
    if status == 404:
        return f"There is nothing at {path} here."
    if status == 405:
        return f"{path} does not take {request.method}."
    if status == 413:
        limit = (request.max_content_length or 0) // 2**20
        return f"The request body is larger than {limit} MB."
    return error.description or error.name
