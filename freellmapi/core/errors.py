"""What can go wrong, what we do about it, and what the client sees: three things, kept apart.

UpstreamError     one call to one candidate failed (``kind`` says how)
GatewayError      the request as a whole is answered with an error
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from freellmapi.core.values import dataclass

DAY = 86_400.0


class ErrorKind(str, Enum):
    """What happened to one call. Named for what it tells about key, model and provider."""

    RATE_LIMITED = "rate_limited"
    DAILY_QUOTA = "daily_quota"
    OUT_OF_CREDIT = "out_of_credit"
    KEY_REJECTED = "key_rejected"
    MODEL_FORBIDDEN = "model_forbidden"
    MODEL_GONE = "model_gone"
    CONTEXT_TOO_LONG = "context_too_long"
    REQUEST_REFUSED = "request_refused"
    CONTENT_POLICY = "content_policy"
    SERVER_ERROR = "server_error"
    BAD_ANSWER = "bad_answer"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    STREAM_BROKEN = "stream_broken"
    CLIENT_GONE = "client_gone"
    HEDGED_OUT = "overtaken"
    """No failure: the call beside it answered first, and this one was ended."""

    @property
    def words(self) -> str:
        """For people: ``rate limited``."""
        return self.value.replace("_", " ")


class Bench(str, Enum):
    """How much of the pool a failure speaks for."""

    NOTHING = "nothing"
    KEY_MODEL = "key_model"
    KEY = "key"
    MODEL = "model"
    POOL = "pool"
    PROVIDER = "provider"


class Until(str, Enum):
    """How long a bench lasts when the provider stated no wait of its own."""

    NONE = "none"
    MINUTE = "minute"
    RESET = "reset"
    DAY = "day"
    CLEARED = "cleared"
    LADDER = "ladder"


@dataclass(frozen=True, slots=True)
class Policy:
    """What we do after a failure of one kind, and what the client sees if all end so."""

    bench: Bench
    until: Until
    tries_after: int | None
    """Further candidates that may be asked: None is no limit of its own, 0 ends the request."""
    spent: bool
    """Whether the provider may have counted the call (the reservation is then kept)."""
    status: int
    type: str
    code: str


POLICY: Mapping[ErrorKind, Policy] = MappingProxyType(
    {
        ErrorKind.RATE_LIMITED: Policy(
            Bench.KEY_MODEL, Until.MINUTE, None, False, 429, "rate_limit_error", "rate_limited"
        ),
        ErrorKind.DAILY_QUOTA: Policy(
            Bench.POOL, Until.RESET, None, False, 429, "rate_limit_error", "quota_exhausted"
        ),
        ErrorKind.OUT_OF_CREDIT: Policy(
            Bench.KEY, Until.DAY, None, False, 429, "rate_limit_error", "out_of_credit"
        ),
        ErrorKind.KEY_REJECTED: Policy(
            Bench.KEY,
            Until.CLEARED,
            None,
            False,
            502,
            "upstream_error",
            "provider_authentication_failed",
        ),
        ErrorKind.MODEL_FORBIDDEN: Policy(
            Bench.KEY_MODEL, Until.DAY, None, False, 404, "invalid_request_error", "model_not_found"
        ),
        ErrorKind.MODEL_GONE: Policy(
            Bench.MODEL, Until.DAY, None, False, 404, "invalid_request_error", "model_not_found"
        ),
        ErrorKind.CONTEXT_TOO_LONG: Policy(
            Bench.NOTHING,
            Until.NONE,
            None,
            False,
            413,
            "invalid_request_error",
            "context_length_exceeded",
        ),
        ErrorKind.REQUEST_REFUSED: Policy(
            Bench.NOTHING, Until.NONE, 2, False, 400, "invalid_request_error", "request_refused"
        ),
        ErrorKind.CONTENT_POLICY: Policy(
            Bench.NOTHING, Until.NONE, 0, True, 400, "invalid_request_error", "content_filter"
        ),
        ErrorKind.SERVER_ERROR: Policy(
            Bench.KEY_MODEL, Until.LADDER, None, True, 502, "upstream_error", "provider_error"
        ),
        ErrorKind.BAD_ANSWER: Policy(
            Bench.KEY_MODEL, Until.LADDER, None, True, 502, "upstream_error", "provider_error"
        ),
        ErrorKind.TIMEOUT: Policy(
            Bench.PROVIDER, Until.LADDER, None, True, 504, "upstream_error", "provider_timeout"
        ),
        ErrorKind.UNREACHABLE: Policy(
            Bench.PROVIDER,
            Until.LADDER,
            None,
            False,
            502,
            "upstream_error",
            "provider_unreachable",
        ),
        ErrorKind.STREAM_BROKEN: Policy(
            Bench.KEY_MODEL, Until.LADDER, None, True, 502, "upstream_error", "stream_interrupted"
        ),
        ErrorKind.CLIENT_GONE: Policy(
            Bench.NOTHING, Until.NONE, 0, True, 499, "api_error", "client_closed_request"
        ),
        ErrorKind.HEDGED_OUT: Policy(
            Bench.NOTHING, Until.NONE, None, True, 502, "upstream_error", "overtaken"
        ),
    }
)


class UpstreamError(Exception):
    """One call to one candidate failed.

    ``message`` is the provider's own reason, short and free of secrets.
    ``retry_after`` is a wait the provider stated, in seconds. ``bench`` overrides the
    policy's scope when the provider says more (a limit per key, say). ``limit`` is a
    cap or window size that the provider named, in its own unit. ``unsent`` is certain that
    nothing of the call has left: it costs nothing, whatever the policy says.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        bench: Bench | None = None,
        limit: int | None = None,
        unsent: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        self.retry_after = retry_after
        self.bench = bench
        self.limit = limit
        self.unsent = unsent

    @property
    def policy(self) -> Policy:
        return POLICY[self.kind]


class GatewayError(Exception):
    """The request is answered with this error, in the one OpenAI shape."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        type: str = "invalid_request_error",
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.type = type
        self.param = param
        self.retry_after = retry_after

    def body(self) -> dict[str, dict[str, str | None]]:
        """``{"error": {"message", "type", "param", "code"}}``, always all four members."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }


class SettingsError(Exception):
    """The program cannot start as it is set up; the message names the remedy."""
