"""Outcomes into responses: a JSON body, or server-sent events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus

import orjson

from freellmapi.api.headers import safe
from freellmapi.core.chat import Chunk
from freellmapi.core.errors import ErrorKind, GatewayError, UpstreamError
from freellmapi.core.route import TokenStream
from freellmapi.core.values import dataclass

log = logging.getLogger(__name__)

PING = b": ping\n\n"
DONE = b"data: [DONE]\n\n"
_LINES = {each.value: f"{each.value} {each.phrase}" for each in HTTPStatus}


class EventStream:
    """The body of a streamed answer. Closing it closes the upstream.

    ``[DONE]`` is given after the token stream has ended, and with it the request's row
    in the log is committed.
    """

    def __init__(
        self, tokens: TokenStream, include_usage: bool, on_close: Callable[[], None]
    ) -> None:
        self._tokens = tokens
        self._include_usage = include_usage
        self._on_close = on_close
        self._over = False

    def __iter__(self) -> EventStream:
        return self

    def __next__(self) -> bytes:
        while not self._over:
            try:
                batch = next(self._tokens)
            except StopIteration:
                self._over = True
                return DONE
            except UpstreamError as error:
                self._over = True
                if error.kind is ErrorKind.CLIENT_GONE:
                    break
                return _error_event(error)
            if not batch:
                return PING
            data = self._events(batch)
            if data:
                return data
        raise StopIteration

    def close(self) -> None:
        self._tokens.close()
        self._on_close()

    def _events(self, batch: list[Chunk]) -> bytes:
        if batch[0].comment:
            return b": %b\n\n" % safe(batch[0].comment).encode()
        if self._include_usage:
            return b"".join([b"data: %b\n\n" % chunk.data for chunk in batch])
        return b"".join([b"data: %b\n\n" % c.data for c in batch if not c.usage_only])


def _error_event(error: UpstreamError) -> bytes:
    policy = error.policy
    message = f"The provider's stream was interrupted: {error.message}."
    body = GatewayError(policy.status, message, code=policy.code, type=policy.type).body()
    return b"data: %b\n\n" % orjson.dumps(body)


@dataclass(slots=True)
class Reply:
    """An answer for any WSGI server; the body is closed by who gives it."""

    headers: list[tuple[str, str]]
    body: Iterable[bytes]
    status: int = 200

    @property
    def line(self) -> str:
        """The status with its words."""
        return _LINES.get(self.status) or f"{self.status} Unknown"


def streamed(body: EventStream) -> Reply:
    headers = [
        ("Content-Type", "text/event-stream; charset=utf-8"),
        ("Cache-Control", "no-cache"),
        # nginx would gather events into its buffer.
        ("X-Accel-Buffering", "no"),
    ]
    return Reply(headers, body)


def whole(value: object, status: int = 200) -> Reply:
    data = orjson.dumps(value)
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(data)))]
    return Reply(headers, [data], status)


def refusal(error: GatewayError) -> Reply:
    """The one error shape, with ``Retry-After`` when a time is known."""
    reply = whole(error.body(), error.status)
    if error.retry_after is not None and error.status in (429, 503):
        # Whole seconds, rounded up: a client that comes back then must find room.
        reply.headers.append(("Retry-After", str(max(1, -int(-error.retry_after // 1)))))
    return reply


def unexpected(error: Exception, request_id: str) -> GatewayError:
    """The outermost edge: whatever nobody expected is logged and answered, never shown."""
    log.error("request=%s failed unexpectedly", request_id, exc_info=error)
    return GatewayError(
        500,
        "Something unexpected happened here. The log has it under this X-Request-Id.",
        code="internal_error",
        type="api_error",
    )
