"""What a provider's error means: one place that turns any refusal into an ``UpstreamError``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from freellmapi.core.catalog import Provider
from freellmapi.core.errors import ErrorKind, UpstreamError

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

BY_STATUS: Mapping[int, ErrorKind] = MappingProxyType(
    {
        401: ErrorKind.KEY_REJECTED,
        402: ErrorKind.OUT_OF_CREDIT,
        403: ErrorKind.MODEL_FORBIDDEN,
        404: ErrorKind.MODEL_GONE,
        410: ErrorKind.MODEL_GONE,
        429: ErrorKind.RATE_LIMITED,
    }
)


def classify(
    status: int, headers: Mapping[str, str], body: bytes, provider: Provider, now: float
) -> UpstreamError:
    """The error that an answer with a failing status is. Header names are lower-cased."""
    return UpstreamError(_by_status(status), f"HTTP {status}", status=status)


def classify_payload(
    payload: object,
    provider: Provider,
    status: int = 200,
    headers: Mapping[str, str] = NO_HEADERS,
    now: float = 0.0,
) -> UpstreamError:
    """The error that a decoded body is, also when it came with status 200 or in a stream."""
    return UpstreamError(_by_status(status), f"HTTP {status}", status=status)


def _by_status(status: int) -> ErrorKind:
    if status in BY_STATUS:
        return BY_STATUS[status]
    return ErrorKind.REQUEST_REFUSED if 400 <= status < 500 else ErrorKind.SERVER_ERROR
