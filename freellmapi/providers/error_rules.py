"""What an error can turn out to be, and what a status alone says of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from freellmapi.core.errors import Bench, ErrorKind
from freellmapi.core.values import dataclass

K = ErrorKind


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an error is, where that differs from the policy of its kind.

    ``wait`` is assumed, in seconds, for a window that is known while its reset is not
    stated. A stated wait below ``shortest`` is a hint when to knock again, not the reset.
    """

    kind: ErrorKind
    bench: Bench | None = None
    wait: float | None = None
    shortest: float = 0.0
    limit: int | None = None


HINT = 600.0
"""Seconds: who states less beside an exhausted day does not mean the day."""
NEVER = float("inf")

RATE_LIMITED = Verdict(K.RATE_LIMITED)
DAILY_QUOTA = Verdict(K.DAILY_QUOTA, shortest=HINT)
DAY_NAMED = Verdict(K.DAILY_QUOTA, shortest=HINT)
"""A day or longer is named, not whose: see ``classify``."""
MODEL_DAILY_QUOTA = Verdict(K.DAILY_QUOTA, Bench.KEY_MODEL)
"""Of those whose days roll (Groq, GitHub): a stated wait is the truth, however short."""
OUT_OF_CREDIT = Verdict(K.OUT_OF_CREDIT)
KEY_REJECTED = Verdict(K.KEY_REJECTED)
MODEL_FORBIDDEN = Verdict(K.MODEL_FORBIDDEN)
MODEL_GONE = Verdict(K.MODEL_GONE)
CONTEXT_TOO_LONG = Verdict(K.CONTEXT_TOO_LONG)
REQUEST_REFUSED = Verdict(K.REQUEST_REFUSED)
CONTENT_POLICY = Verdict(K.CONTENT_POLICY)
SERVER_ERROR = Verdict(K.SERVER_ERROR)
BUSY = SERVER_ERROR
"""The provider has no room, whoever asks: our own quota is not touched."""
KEY_FORBIDDEN = Verdict(K.MODEL_FORBIDDEN, Bench.KEY)
"""The account or project may use none of the models; the key itself may be good."""
REGION_BLOCKED = Verdict(K.MODEL_FORBIDDEN, Bench.PROVIDER)
"""They serve nobody from here. A ladder of seconds would ask in vain all day."""
TURNED_AWAY = Verdict(K.UNREACHABLE)
"""A wall before the API (bot check, network block) answered; it knows no key and no model."""
UNFIT = Verdict(K.MODEL_FORBIDDEN, Bench.NOTHING)
"""The model lacks what this one request needs; other requests are welcome."""
BAD_GENERATION = Verdict(K.BAD_ANSWER, Bench.NOTHING)
"""The model wrote what the provider cannot use; neither the request nor the key is at fault."""
HOURLY = Verdict(K.RATE_LIMITED, Bench.KEY, wait=600.0)
"""A window of hours whose reset nobody states: asked again every ten minutes."""

BY_STATUS: Mapping[int, Verdict] = MappingProxyType(
    {
        202: Verdict(K.TIMEOUT, Bench.KEY_MODEL),  # NVIDIA: still running, to be polled for.
        401: KEY_REJECTED,
        402: OUT_OF_CREDIT,
        403: MODEL_FORBIDDEN,
        404: MODEL_GONE,
        407: TURNED_AWAY,  # The proxy on our own way out wants a password.
        408: SERVER_ERROR,
        409: SERVER_ERROR,
        410: MODEL_GONE,
        413: CONTEXT_TOO_LONG,
        425: SERVER_ERROR,
        429: RATE_LIMITED,
        451: MODEL_FORBIDDEN,
        499: SERVER_ERROR,  # Cohere and nginx: gave up on us.
    }
)

# What a code or a sentence of the generic lists may make of a status; others keep their own
# meaning whatever is written beside it. A provider's own lists are not bound by this.
ADMITTED: Mapping[int, frozenset[ErrorKind]] = MappingProxyType(
    {
        401: frozenset({K.MODEL_FORBIDDEN}),
        402: frozenset(),
        404: frozenset({K.MODEL_FORBIDDEN, K.MODEL_GONE, K.REQUEST_REFUSED}),
        410: frozenset(),
        413: frozenset(),
        429: frozenset({K.DAILY_QUOTA, K.OUT_OF_CREDIT, K.RATE_LIMITED, K.SERVER_ERROR}),
    }
)
ADMITTED_5XX = frozenset({K.CONTEXT_TOO_LONG, K.CONTENT_POLICY})
