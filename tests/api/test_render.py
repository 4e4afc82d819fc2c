"""Outcomes into bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from freellmapi.api.render import DONE, PING, EventStream, refusal
from freellmapi.core.chat import Chunk
from freellmapi.core.errors import ErrorKind, GatewayError, UpstreamError

Step = list[Chunk] | UpstreamError


class Tokens:
    """A token stream by script."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = iter(steps)
        self.closed = 0

    def __iter__(self) -> Tokens:
        return self

    def __next__(self) -> list[Chunk]:
        step = next(self._steps)
        if isinstance(step, UpstreamError):
            raise step
        return step

    def close(self) -> None:
        self.closed += 1


TEXT = Chunk(b'{"a":1}', text="hi")
USAGE = Chunk(b'{"u":1}', usage_only=True)


def events(*steps: Step, include_usage: bool = False) -> list[bytes]:
    return list(EventStream(Tokens(steps), include_usage, lambda: None))


def test_chunks_are_events_and_done_is_last() -> None:
    assert events([TEXT, TEXT], [TEXT]) == [
        b'data: {"a":1}\n\ndata: {"a":1}\n\n',
        b'data: {"a":1}\n\n',
        DONE,
    ]


def test_an_empty_batch_is_a_ping() -> None:
    assert events([], [TEXT]) == [PING, b'data: {"a":1}\n\n', DONE]


def test_a_comment_is_no_event_and_cannot_become_one() -> None:
    resumed = Chunk(b"", comment="resumed on beta/m\n\ndata: x")
    assert events([TEXT], [resumed], [TEXT])[1] == b": resumed on beta/m??data: x\n\n"


@pytest.mark.parametrize(
    ("wanted", "seen"), [(True, [b'data: {"u":1}\n\n', DONE]), (False, [DONE])]
)
def test_usage_is_shown_only_when_asked_for(wanted: bool, seen: list[bytes]) -> None:
    assert events([USAGE], include_usage=wanted) == seen


def test_a_broken_stream_ends_with_one_error_event_and_no_done() -> None:
    broken = UpstreamError(ErrorKind.STREAM_BROKEN, "it stalled")
    last = events([TEXT], broken)[-1]
    assert last.startswith(b"data: ")
    error = json.loads(last.removeprefix(b"data: "))["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert "it stalled" in error["message"]


def test_a_client_that_has_gone_is_told_nothing() -> None:
    gone = UpstreamError(ErrorKind.CLIENT_GONE, "the client left")
    assert events([TEXT], gone) == [b'data: {"a":1}\n\n']


def test_closing_closes_the_upstream_and_stops_watching_the_client() -> None:
    tokens, closed = Tokens([[TEXT]]), []
    EventStream(tokens, False, lambda: closed.append(True)).close()
    assert (tokens.closed, closed) == (1, [True])


def test_it_stays_ended() -> None:
    stream = EventStream(Tokens([]), False, lambda: None)
    assert list(stream) == [DONE]
    assert not list(stream)


@pytest.mark.parametrize(
    ("status", "wait", "header"),
    [
        (429, 0.2, "1"),
        (429, 7.0, "7"),
        (503, 7.01, "8"),
        (429, None, None),
        (502, 7.0, None),
    ],
)
def test_a_wait_is_stated_in_whole_seconds_rounded_up(
    status: int, wait: float | None, header: str | None
) -> None:
    reply = refusal(GatewayError(status, "no", retry_after=wait))
    assert reply.status == status
    assert dict(reply.headers).get("Retry-After") == header
    assert json.loads(b"".join(reply.body)) == {
        "error": {"message": "no", "type": "invalid_request_error", "param": None, "code": None}
    }
