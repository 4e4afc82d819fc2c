"""What providers' codes and sentences mean: named lists, each entry with who sends it.

Data only; ``classify`` reads it. Sources: the providers' error pages and the bodies seen in
public code, read 2026-11-22.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from freellmapi.core.errors import Bench, ErrorKind

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


class Words(NamedTuple):
    """A sentence, the statuses under which it counts (none: any), and what it means."""

    pattern: re.Pattern[str]
    verdict: Verdict
    statuses: frozenset[int] = frozenset()


def _words(pattern: str, verdict: Verdict, *statuses: int) -> Words:
    return Words(re.compile(pattern, re.IGNORECASE), verdict, frozenset(statuses))


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

CODES: Mapping[str, Verdict] = MappingProxyType(
    {
        # Quota and credit.
        "rate_limit_exceeded": RATE_LIMITED,  # OpenAI, Groq
        "rate_limit_error": RATE_LIMITED,  # Anthropic style
        "rate_limited": RATE_LIMITED,
        "rate_limit_reached_error": RATE_LIMITED,  # Moonshot
        "ratelimitreached": RATE_LIMITED,  # GitHub, Azure
        "too_many_requests_error": RATE_LIMITED,  # Cerebras
        "token_quota_exceeded": RATE_LIMITED,  # Cerebras: its minute, unless it says day
        "request_quota_exceeded": RATE_LIMITED,  # Cerebras, likewise
        "insufficient_quota": OUT_OF_CREDIT,  # OpenAI, under 429
        "billing_hard_limit_reached": OUT_OF_CREDIT,  # OpenAI, under 400
        "billing_not_active": OUT_OF_CREDIT,  # OpenAI, under 429
        "exceeded_current_quota_error": OUT_OF_CREDIT,  # Moonshot, under 429 and 403
        "insufficient_balance": OUT_OF_CREDIT,
        "insufficient_credits": OUT_OF_CREDIT,
        "payment_required": OUT_OF_CREDIT,
        "budget_exceeded": OUT_OF_CREDIT,  # LiteLLM, under 400 and 429
        "arrearage": OUT_OF_CREDIT,  # Alibaba, under 400
        # The key.
        "api_key_invalid": KEY_REJECTED,  # Gemini, under 400
        "api_key_expired": KEY_REJECTED,
        "consumer_suspended": KEY_REJECTED,  # Google, under 403
        "invalid_api_key": KEY_REJECTED,
        "wrong_api_key": KEY_REJECTED,  # Cerebras
        "invalidapikey": KEY_REJECTED,  # Alibaba
        "invalid_authentication_error": KEY_REJECTED,  # Moonshot
        "authentication_error": KEY_REJECTED,
        "account_deactivated": KEY_REJECTED,  # OpenAI
        # What the account may use.
        "service_disabled": KEY_FORBIDDEN,  # Google, under 403: the API is off in the project
        "api_key_service_blocked": KEY_FORBIDDEN,  # Google, under 403
        "api_key_http_referrer_blocked": KEY_FORBIDDEN,
        "api_key_ip_address_blocked": KEY_FORBIDDEN,
        "billing_disabled": KEY_FORBIDDEN,
        "organization_restricted": KEY_FORBIDDEN,  # Groq, under 400: the account is suspended
        "unsupported_country_region_territory": REGION_BLOCKED,  # OpenAI, under 403
        "model_terms_required": MODEL_FORBIDDEN,  # Groq, under 400
        "model_permission_blocked_org": MODEL_FORBIDDEN,  # Groq, under 403
        "model_permission_blocked_project": MODEL_FORBIDDEN,
        "permission_denied_error": MODEL_FORBIDDEN,  # Moonshot
        "key_model_access_denied": MODEL_FORBIDDEN,  # LiteLLM, under 401 too
        "team_model_access_denied": MODEL_FORBIDDEN,
        "model_not_supported": MODEL_FORBIDDEN,  # Hugging Face, under 400: no enabled backend
        # The model.
        "model_decommissioned": MODEL_GONE,  # Groq, under 400
        "model_not_found": MODEL_GONE,  # under 400, 403 and 404
        "model_not_available": MODEL_GONE,
        "unknown_model": MODEL_GONE,  # GitHub
        "invalid_model": MODEL_GONE,
        "deploymentnotfound": MODEL_GONE,  # Azure
        "resource_not_found_error": MODEL_GONE,  # Moonshot
        # The size of the request.
        "context_length_exceeded": CONTEXT_TOO_LONG,  # OpenAI, Groq, Cerebras, under 400
        "context_window_exceeded": CONTEXT_TOO_LONG,
        "contextwindowexceedederror": CONTEXT_TOO_LONG,  # LiteLLM
        "exceed_context_size_error": CONTEXT_TOO_LONG,  # llama.cpp, under 400
        "tokens_limit_reached": CONTEXT_TOO_LONG,  # GitHub, under 413
        "string_above_max_length": CONTEXT_TOO_LONG,  # OpenAI: one message beyond all windows
        "request_too_large": CONTEXT_TOO_LONG,
        # What was said in it.
        "content_filter": CONTENT_POLICY,  # Azure, Moonshot, under 400
        "content_policy_violation": CONTENT_POLICY,  # OpenAI
        "contentpolicyviolationerror": CONTENT_POLICY,  # LiteLLM
        "responsibleaipolicyviolation": CONTENT_POLICY,  # Azure, in innererror
        "content_blocked": CONTENT_POLICY,
        "moderation_blocked": CONTENT_POLICY,
        "data_inspection_failed": CONTENT_POLICY,  # Alibaba, ModelScope, under 400
        "datainspectionfailed": CONTENT_POLICY,
        # The answer.
        "tool_use_failed": BAD_GENERATION,  # Groq, under 400, with failed_generation
        "json_validate_failed": BAD_GENERATION,  # Groq, likewise
        "output_parse_failed": BAD_GENERATION,  # Groq, likewise
        # The provider.
        "queue_exceeded": BUSY,  # Cerebras, under 429
        "service_tier_capacity_exceeded": BUSY,  # Mistral, under 429
        "engine_overloaded_error": BUSY,  # Moonshot, under 429
        "overloaded_error": BUSY,
        "capacity_exceeded": BUSY,
        "nocapacity": BUSY,  # Azure
    }
)


def _each(codes: str, verdict: Verdict) -> dict[str, Verdict]:
    return dict.fromkeys(codes.split(), verdict)


_ZHIPU = {
    **_each("1000 1001 1002 1003 1004", KEY_REJECTED),
    **_each("1110 1111 1112 1114 1115 1116 1117 1118 1119 1120 1121", KEY_FORBIDDEN),
    "1113": OUT_OF_CREDIT,  # under 429, and no rate limit
    **_each("1210 1212 1213 1214 1215", REQUEST_REFUSED),
    "1211": MODEL_GONE,
    **_each("1220 1309 1311", MODEL_FORBIDDEN),
    "1261": CONTEXT_TOO_LONG,
    "1301": CONTENT_POLICY,
    **_each("1302 1303 1313", RATE_LIMITED),  # concurrency, frequency, fair use
    "1304": MODEL_DAILY_QUOTA,
    **_each("1305 1312", BUSY),
    **_each("1308 1310", DAILY_QUOTA),  # with the time of its reset
}
_MINIMAX = {
    **_each("1000 1001 1013 1024 1033", SERVER_ERROR),
    **_each("1002 1039 1041", RATE_LIMITED),
    **_each("1004 2049", KEY_REJECTED),
    "1008": OUT_OF_CREDIT,
    **_each("1026 1027", CONTENT_POLICY),
    "2013": REQUEST_REFUSED,
    "2056": HOURLY,
}
_CLOUDFLARE = {
    **_each("5007 3042", MODEL_GONE),
    **_each("5016 5018 3041", MODEL_FORBIDDEN),
    **_each("3006 5021", CONTEXT_TOO_LONG),
    **_each("3007 3008 3040", SERVER_ERROR),
    "3036": DAILY_QUOTA,  # the account's neurons
    "3023": KEY_FORBIDDEN,
    "10000": KEY_FORBIDDEN,  # under 403 a token without this scope; 401 stays a rejected key
}
_MISTRAL = {
    "1300": RATE_LIMITED,
    "3505": BUSY,
    "1500": MODEL_GONE,
}
_SILICONFLOW = {
    "20012": MODEL_GONE,
    "20015": REQUEST_REFUSED,
    "30001": OUT_OF_CREDIT,  # under 403
    "50505": BUSY,
    "50603": BUSY,
}
# Plain numbers mean something else at each provider, so they are never read without it.
NUMBERS: Mapping[str, Mapping[str, Verdict]] = MappingProxyType(
    {
        "cloudflare": _CLOUDFLARE,
        "minimax": _MINIMAX,
        "mistral": _MISTRAL,
        "siliconflow": _SILICONFLOW,
        "zhipu": _ZHIPU,
    }
)
HOSTS: tuple[tuple[str, str], ...] = (
    ("bigmodel.cn", "zhipu"),
    ("z.ai", "zhipu"),
    ("minimax.io", "minimax"),
    ("minimaxi.com", "minimax"),
    ("mistral.ai", "mistral"),
    ("cloudflare.com", "cloudflare"),
    ("siliconflow.com", "siliconflow"),
    ("siliconflow.cn", "siliconflow"),
    ("openrouter.ai", "openrouter"),
    ("googleapis.com", "google"),
    ("groq.com", "groq"),
    ("cohere.com", "cohere"),
    ("cohere.ai", "cohere"),
)
"""Who speaks, for a custom endpoint that is a known provider under another id."""

SPOKEN: Mapping[str, tuple[Words, ...]] = MappingProxyType(
    {
        "google": (
            _words(r"^API key (?:not valid|expired|not found)", KEY_REJECTED, 400),
            _words(r"\bAPI key was reported as leaked\b", KEY_REJECTED, 400, 403),
            _words(r"\bUser location is not supported\b", KEY_FORBIDDEN, 400, 403),
            _words(
                r"\benable billing\b|\bbilling\b.{0,40}\b(?:required|disabled)\b",
                KEY_FORBIDDEN,
                400,
                403,
            ),
            _words(r"\b(?:API|Service)\b.{0,80}\b(?:disabled|blocked)\b", KEY_FORBIDDEN, 403),
            # The OpenAI door of Gemini may leave the details out and say it in the message.
            _words(r"\blimit: 0\b", Verdict(K.MODEL_FORBIDDEN), 429),
            _words(
                r"PerDay\b|per day",
                Verdict(K.DAILY_QUOTA, Bench.KEY_MODEL, shortest=NEVER),
                429,
            ),
        ),
        "groq": (
            _words(r"^Access denied\. Please check your network", TURNED_AWAY, 403),
            _words(r"", BUSY, 498),
            _words(r"\bper day \([RT]PD\)", MODEL_DAILY_QUOTA, 429),
        ),
        "openrouter": (
            # The minute and the day of :free models are the account's, not the model's.
            _words(r"\bfree-models-per-min", Verdict(K.RATE_LIMITED, Bench.POOL), 429),
            _words(r"\bfree-models-per-day", Verdict(K.DAILY_QUOTA, Bench.POOL), 429),
            # A paid model or a huge max_tokens: the free ones may still be served.
            _words(r"\bcan only afford\b", Verdict(K.OUT_OF_CREDIT, Bench.KEY_MODEL), 402),
            _words(r"\bKey limit exceeded\b", OUT_OF_CREDIT, 402, 403),
            _words(r"\bdata policy\b|\bprivacy settings?\b", MODEL_FORBIDDEN, 404),
            _words(r"\bNo allowed providers\b", MODEL_FORBIDDEN, 404),
            _words(r"\bNo endpoints found that (?:support|can handle)", UNFIT, 404),
        ),
        "nvidia": (
            _words(r"\bAuthorization failed\b", KEY_REJECTED, 403),
            _words(r"\bDEGRADED function\b", Verdict(K.SERVER_ERROR, Bench.MODEL), 400),
            _words(r"\bNot found for account\b", MODEL_FORBIDDEN, 404),
        ),
        "github": (_words(r"ByDay\b|\bper 86400s", MODEL_DAILY_QUOTA, 429),),
        "cohere": (
            _words(r"", CONTENT_POLICY, 498),
            _words(
                r"/ ?month\b|\bper month\b", Verdict(K.DAILY_QUOTA, Bench.KEY, shortest=HINT), 429
            ),
        ),
        "opencode": (_words(r"\bpromotion has ended\b|\bmodel\b", MODEL_GONE, 401, 403),),
        "modelscope": (_words(r"\binsufficient balance\b", MODEL_GONE, 429),),
        "llm7": (_words(r"", MODEL_FORBIDDEN, 402),),
        "ollama": (
            _words(
                r"\bweekly usage limit\b", Verdict(K.DAILY_QUOTA, Bench.KEY, shortest=HINT), 429
            ),
            _words(r"\b(?:session|hourly) usage limit\b", HOURLY, 429),
        ),
        "kilo": (_words(r"\bhour", HOURLY, 429),),
        "minimax": (_words(r"\bcontext window exceeds\b", CONTEXT_TOO_LONG),),
    }
)
"""Sentences of one provider, read before its codes; an empty pattern is the status itself."""

_CONTEXT = (
    # OpenAI, vLLM, OpenRouter, Together, SambaNova, Hugging Face
    r"\bmaximum context length\b",
    # llama.cpp, Ollama, Cloudflare, MiniMax, LM Studio
    r"\b(?:context|prompt|input)\b.{0,40}\bexceed\w*\b.{0,60}\b(?:context|limit|window|tokens?)\b",
    r"\bexceed\w*\b.{0,60}\bcontext (?:size|length|window)\b",
    r"\bcontext window limit\b|\bcontext length of only\b|\bcontext (?:the )?overflows\b",
    # Gemini: "The input token count (1048577) exceeds the maximum number of tokens allowed"
    r"\binput token count\b.{0,40}\bexceeds\b",
    # Anthropic style, Mistral, Cohere, Moonshot, Cerebras, TGI
    r"\bprompt is too long\b|\btoo large for model with \d+ maximum context\b",
    r"\btoo many tokens\b|\bexceeded model token limit\b",
    r"\breduce the length of the (?:messages|prompt|input)\b",
    r"\binputs`? tokens \+ `?max_new_tokens`? must be\b",
    r"\bRequest too large for\b",
)
_GONE = (
    # Only the id may stand between: "model x: unknown name 'foo'" is about the request.
    r"\bmodels?[ :/]*[`'\"]?[\w./:@+-]*[`'\"]?,? (?:does not exist|not exist|(?:was |is )?not found"
    r"|is not available|is not a valid model|(?:is )?no longer (?:available|supported)"
    r"|has been (?:deprecated|decommissioned|retired|removed))",
    r"\b(?:unknown|no such|invalid) model\b|\bis not a valid model\b",
    r"\bNo endpoints found for\b",
)
WORDS: tuple[Words, ...] = (
    *(_words(pattern, CONTEXT_TOO_LONG) for pattern in _CONTEXT),
    _words(r"^(?:Incorrect|Invalid) API key\b", KEY_REJECTED, 400),
    _words(
        r"\bcontent (?:policy|filter\w*|moderation)\b|\bcontent management policy\b"
        r"|\bflagged (?:by|as|for)\b|\brequires moderation\b|\bsafety system\b",
        CONTENT_POLICY,
        400,
        403,
        422,
        200,
    ),
    _words(
        r"\b(?:country|region|territory|location)\b.{0,40}\bnot (?:supported|available)\b",
        REGION_BLOCKED,
        400,
        403,
    ),
    _words(
        r"\bnot (?:supported|available) in your (?:country|region|location)\b",
        REGION_BLOCKED,
        400,
        403,
    ),
    _words(r"\bNot found for account\b|\bdo(?:es)? not have access\b", MODEL_FORBIDDEN, 403),
    *(_words(pattern, MODEL_GONE, 400, 422, 200) for pattern in _GONE),
    _words(
        r"\b(?:insufficient|negative|not enough) (?:account )?(?:balance|credits?|funds)\b"
        r"|\bcredit balance\b|\bout of credits?\b|\bcredits? (?:have |has )?(?:expired|exhausted)\b"
        r"|\bexceeded your monthly included credits\b",
        OUT_OF_CREDIT,
        400,
        403,
        429,
        200,
    ),
    _words(r"\brate limit|\btoo many requests\b", RATE_LIMITED, 200, 400, 403),
    _words(
        r"\boverloaded\b|\b(?:no|at|over|maximum) capacity\b|\btoo busy\b",
        BUSY,
        200,
        400,
        403,
        429,
    ),
)
"""Sentences of no provider in particular, read last."""

# The window that a 429 is about is the one it names first: "per-min ... add credits for
# 1000 requests per day" is a minute's limit.
WINDOWS: tuple[Words, ...] = (
    _words(r"\bper[ _-]?sec(?:ond)?\b|/ ?s(?:ec(?:ond)?)?\b", Verdict(K.RATE_LIMITED, wait=1.0)),
    _words(
        r"\bper[ _-]?min(?:ute)?s?\b|/ ?min(?:ute)?\b|\b[RT]PM\b|PerMinute|ByMinute", RATE_LIMITED
    ),
    _words(r"\bper[ _-]?hour\b|/ ?h(?:our)?\b|\bhourly\b", HOURLY),
    _words(
        r"\bper[ _-]?day\b|/ ?day\b|\bdaily\b|\b[RT]PD\b|\b24[ -]hours?\b|PerDay|ByDay"
        r"|\btoday's\b|\btomorrow\b",
        DAY_NAMED,
    ),
    _words(r"\bper[ _-]?(?:week|month)\b|/ ?month\b|\bmonthly\b|\bweekly\b", DAY_NAMED),
)

# How large a request may be, as the refusal states it; the first group is tokens.
SIZES: tuple[re.Pattern[str], ...] = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\bLimit:? (\d[\d,]*), Requested",
        r"\bLimit:? (\d[\d,]*), Used",
        r"\bmaximum context length (?:of [\w./:-]+ )?is (\d[\d,]*)",
        r"\bmodel with (\d[\d,]*) maximum context length",
        r"\bcontext length of only (\d[\d,]*)",
        r"\bmaximum number of tokens allowed \(?(\d[\d,]*)",
        r"\btokens > (\d[\d,]*) maximum",
        r"\bcontext (?:size|window|length)(?: limit)? \(?(\d[\d,]*)",
        r"\bwhile limit is (\d[\d,]*)",
        r"\btoken limit:? (\d[\d,]*)",
        r"\bmax_new_tokens`? must be <= (\d[\d,]*)",
        r"\bMax size: (\d[\d,]*) tokens",
    )
)
