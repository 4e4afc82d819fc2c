"""Errors as people see them; programs get the one JSON body from ``api.errors``."""

from __future__ import annotations

from http import HTTPStatus

from flask import Flask, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError, generate_csrf
from werkzeug.exceptions import HTTPException

from freellmapi.api import errors as api_errors
from freellmapi.api.responses import error_response
from freellmapi.core.errors import GatewayError
from freellmapi.dashboard.guard import wants_json

_STALE = "This page was open for too long. Load it again and repeat the last step."


def register(app: Flask) -> None:
    """After ``api.errors``, whose handlers these stand in front of."""
    app.register_error_handler(CSRFError, stale_page)
    app.register_error_handler(GatewayError, gateway_error)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, internal_error)


def stale_page(_error: CSRFError) -> ResponseReturnValue:
    if wants_json():
        # With a token that is good, so that a script can send its request again.
        error = GatewayError(400, _STALE, code="csrf_failed")
        return jsonify(**error.body(), csrf_token=generate_csrf()), 400
    return _page(400, "That form is out of date", _STALE)


def gateway_error(error: GatewayError) -> ResponseReturnValue:
    """A page asked for by a person meets few: that its form took too long to arrive."""
    if not _is_for_people():
        return error_response(error)
    return _page(error.status, HTTPStatus(error.status).phrase, error.message)


def http_error(error: HTTPException) -> ResponseReturnValue:
    if (error.code or 500) < 400 or not _is_for_people():
        return api_errors.http_error(error)
    if error.code == 404:
        return _page(404, "There is no such page", f"Nothing is at {request.path[:200]}.")
    return _page(error.code or 500, error.name, error.description or "")


def internal_error(error: Exception) -> ResponseReturnValue:
    answer = api_errors.internal_error(error)
    if not _is_for_people():
        return answer
    said = "The log has it under the request id below. Try again; nothing of yours is lost."
    return _page(500, "Something unexpected happened here", said)


def _is_for_people() -> bool:
    is_program = request.path.startswith(("/v1", "/static/")) or wants_json()
    return (
        not is_program
        and request.accept_mimetypes.accept_html
        and "text/html" in (request.headers.get("Accept", ""))
    )


def _page(status: int, title: str, message: str) -> ResponseReturnValue:
    return render_template("dashboard/error.html", title=title, message=message), status
