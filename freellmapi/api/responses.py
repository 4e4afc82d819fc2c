"""Replies as Flask gives them."""

from __future__ import annotations

from flask import Response

from freellmapi.api.render import Reply, refusal, whole
from freellmapi.core.errors import GatewayError


def response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, reply.headers)


def json_response(value: object, status: int = 200) -> Response:
    return response(whole(value, status))


def error_response(error: GatewayError) -> Response:
    return response(refusal(error))
