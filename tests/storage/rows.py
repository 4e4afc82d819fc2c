"""Rows of the request log to test with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from freellmapi.core.errors import ErrorKind
from freellmapi.core.limits import Usage
from freellmapi.core.route import Attempt
from freellmapi.storage.logged import LoggedRequest

NOW = 1_790_000_000.0

ANSWERED = Attempt(
    provider="groq",
    model="llama",
    key_id="1",
    started_at=NOW + 0.5,
    duration=1.5,
    status=200,
    usage=Usage(100, 50, reasoning_tokens=7, cached_tokens=3),
)
REFUSED = Attempt(
    provider="gemini",
    model="flash",
    key_id="env:GEMINI_API_KEY",
    started_at=NOW,
    duration=0.25,
    error=ErrorKind.RATE_LIMITED,
    status=429,
    message="slow down",
    spent=False,
)
ROW = LoggedRequest(
    request_id="req_1",
    at=NOW,
    token_id=1,
    model="auto",
    stream=True,
    status=200,
    error=None,
    provider="groq",
    served_model="llama",
    key_id="1",
    prompt_tokens=100,
    completion_tokens=50,
    exact=True,
    duration=2.0,
    first_token=0.75,
    attempts=(REFUSED, ANSWERED),
)
FAILED = replace(
    ROW,
    status=429,
    error="rate_limited",
    provider=None,
    served_model=None,
    key_id=None,
    token_id=None,
    prompt_tokens=0,
    completion_tokens=0,
    exact=False,
    first_token=None,
    attempts=(REFUSED,),
)


def row(id: object, **changes: Any) -> LoggedRequest:
    """``ROW`` with another request id."""
    return replace(ROW, request_id=f"req_{id}", **changes)
