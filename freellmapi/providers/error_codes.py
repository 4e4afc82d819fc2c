"""What providers' codes mean: named lists, each entry with who sends it.

Sources: the providers' error pages and the bodies seen in public code, read 2026-11-22.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from freellmapi.core.catalog import Provider
from freellmapi.providers.error_body import ErrorBody
from freellmapi.providers.error_rules import (
    BAD_GENERATION,
    BUSY,
    CONTENT_POLICY,
    CONTEXT_TOO_LONG,
    DAILY_QUOTA,
    HOURLY,
    KEY_FORBIDDEN,
    KEY_REJECTED,
    MODEL_DAILY_QUOTA,
    MODEL_FORBIDDEN,
    MODEL_GONE,
    OUT_OF_CREDIT,
    RATE_LIMITED,
    REGION_BLOCKED,
    REQUEST_REFUSED,
    SERVER_ERROR,
    Verdict,
)

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


def speaker(provider: Provider, body: ErrorBody) -> str:
    """Whose numbers and sentences these are, also behind a custom endpoint."""
    if body.from_minimax:
        return "minimax"
    if body.from_cloudflare:
        return "cloudflare"
    try:
        host = urlsplit(provider.base_url).hostname or ""
    except ValueError:
        return provider.id
    for suffix, name in HOSTS:
        if host == suffix or host.endswith(f".{suffix}"):
            return name
    return provider.id
