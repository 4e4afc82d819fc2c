"""What a provider's error means: one place that turns any refusal into an ``UpstreamError``.

Status first; then what the provider says in its own codes; then its words; and never a
number found in a sentence. The lists stand in ``error_codes``
and ``error_words``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from types import MappingProxyType

from freellmapi.core.catalog import Provider
from freellmapi.core.errors import Bench, ErrorKind, UpstreamError
from freellmapi.providers import error_body, error_codes, error_words
from freellmapi.providers import error_rules as rules
from freellmapi.providers.error_body import ErrorBody
from freellmapi.providers.error_rules import Verdict
from freellmapi.providers.error_words import Words
from freellmapi.providers.redact import one_line
from freellmapi.providers.retry_after import exhausted_reset, reset_moment, stated_wait

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

# Failures that pass by themselves, so that a stated wait is about them.
_PASSING = frozenset(
    {
        ErrorKind.RATE_LIMITED,
        ErrorKind.DAILY_QUOTA,
        ErrorKind.SERVER_ERROR,
        ErrorKind.TIMEOUT,
        ErrorKind.UNREACHABLE,
    }
)
_UPSTREAM_BUSY = 10.0
_EDGE_CODE = re.compile(r"error code: 1\d{3}", re.IGNORECASE)
_TOO_LARGE = re.compile(r"\bLimit:? (\d{1,12})\b.{0,40}\bRequested:? (\d{1,12})\b")


def classify(
    status: int, headers: Mapping[str, str], body: bytes, provider: Provider, now: float
) -> UpstreamError:
    """The error that an answer with a failing status is. Header names are lower-cased.

    Never raises, whatever the body. An empty or unreadable body is judged by its status.
    """
    return classify_payload(error_body.decoded(body), provider, status, headers, now)


def classify_payload(
    payload: object,
    provider: Provider,
    status: int = 200,
    headers: Mapping[str, str] = NO_HEADERS,
    now: float = 0.0,
) -> UpstreamError:
    """The error that a decoded body is, also when it came with status 200 or in a stream."""
    body = _unwrapped(error_body.read(payload, status))
    said_by = error_codes.speaker(provider, body)
    verdict = _scoped(_verdict(body, headers, said_by), provider)
    limit = verdict.limit
    if limit is None and verdict.kind is ErrorKind.CONTEXT_TOO_LONG:
        limit = _size_allowed(body)
    return UpstreamError(
        verdict.kind,
        one_line(body.reason) or _status_line(body.status),
        status=body.status,
        retry_after=_wait(verdict, body, headers, provider, now),
        bench=verdict.bench,
        limit=limit,
    )


Step = Callable[[ErrorBody, str], "Verdict | None"]


def _verdict(body: ErrorBody, headers: Mapping[str, str], speaker: str) -> Verdict:
    if _turned_away(body, headers):
        return rules.TURNED_AWAY
    if body.status == 429 and _has_zero_cap(headers):
        return rules.MODEL_FORBIDDEN
    for step in _STEPS:
        found = step(body, speaker)
        if found is not None:
            return found
    return _by_status(body)


def _unwrapped(body: ErrorBody) -> ErrorBody:
    """A rate limit that came with status 200 is judged as the 429 it should have been."""
    if 200 <= body.status < 300 and any(
        error_codes.CODES.get(code) is rules.RATE_LIMITED for code in body.codes
    ):
        return replace(body, status=429)
    return body


def _scoped(verdict: Verdict, provider: Provider) -> Verdict:
    """Whose window it is, when the refusal leaves it open: the catalog knows shared caps."""
    shared = provider.account_limits
    if verdict is rules.RATE_LIMITED and shared.rpm is not None:
        return replace(verdict, bench=Bench.POOL)
    if verdict is rules.DAY_NAMED:
        caps = (shared.rpd, shared.tpd, shared.requests_per_month, shared.tokens_per_month)
        # The narrow guess costs one refused call a model, the wide one a day of good ones.
        return replace(
            verdict, bench=Bench.POOL if any(c is not None for c in caps) else Bench.KEY_MODEL
        )
    return verdict


def _by_status(body: ErrorBody) -> Verdict:
    status = body.status
    if status in rules.BY_STATUS:
        return rules.BY_STATUS[status]
    if 400 <= status < 500:
        return rules.REQUEST_REFUSED
    if 300 <= status < 400:
        # We follow no redirect with a key: whoever sent it is not the API.
        return rules.TURNED_AWAY
    if 200 <= status < 300 and body.form != "json":
        return Verdict(ErrorKind.BAD_ANSWER)
    return rules.SERVER_ERROR


def _turned_away(body: ErrorBody, headers: Mapping[str, str]) -> bool:
    """Whether a wall before the API answered: a bot check, a page, Cloudflare's own refusal."""
    if body.status != 403:
        return False
    if body.form == "html" or "cf-mitigated" in headers:
        return True
    return bool(_EDGE_CODE.fullmatch(body.reason.strip())) or _is_edge_problem(body.payload)


def _has_zero_cap(headers: Mapping[str, str]) -> bool:
    """Mistral: a cap of zero is a model outside the plan, however politely it is put."""
    return any(
        value.strip() == "0"
        for name, value in headers.items()
        if name.startswith(("x-ratelimit-limit-", "x-ratelimitbysize-limit-"))
    )


def _is_edge_problem(payload: object) -> bool:
    return isinstance(payload, Mapping) and payload.get("cloudflare_error") is True


def _google_quota(body: ErrorBody, speaker: str) -> Verdict | None:
    """google.rpc.QuotaFailure: the quota's name says the window, and outweighs RetryInfo."""
    if body.status != 429 or not body.violations:
        return None
    if any(str(v.get("quotaValue")) == "0" for v in body.violations):
        return rules.MODEL_FORBIDDEN
    daily = [v for v in body.violations if "PerDay" in str(v.get("quotaId"))]
    named = (daily or list(body.violations))[0]
    limit = _number(str(named.get("quotaValue", "")))
    if not daily:
        return replace(rules.RATE_LIMITED, limit=limit)
    bench = Bench.KEY_MODEL if "PerModel" in str(named.get("quotaId")) else Bench.POOL
    return Verdict(ErrorKind.DAILY_QUOTA, bench, shortest=rules.NEVER, limit=limit)


def _too_large(body: ErrorBody, speaker: str) -> Verdict | None:
    """A request above a minute's cap: no wait helps, a smaller request does (Groq, OpenAI)."""
    if body.status not in (413, 429):
        return None
    match = _TOO_LARGE.search(body.reason)
    if match and int(match[2]) > int(match[1]):
        return replace(rules.CONTEXT_TOO_LONG, limit=int(match[1]))
    return None


def _upstream(body: ErrorBody, speaker: str) -> Verdict | None:
    """A router reports on whom it asked: neither our key nor our quota is meant."""
    if body.moderated and body.status in (400, 403):
        return rules.CONTENT_POLICY
    if not body.upstream:
        return None
    if body.status == 429:
        return Verdict(ErrorKind.RATE_LIMITED, Bench.KEY_MODEL, wait=_UPSTREAM_BUSY)
    return rules.SERVER_ERROR if body.status in (401, 402) else None


def _spoken(body: ErrorBody, speaker: str) -> Verdict | None:
    return _first(error_words.SPOKEN.get(speaker, ()), body)


def _numbered(body: ErrorBody, speaker: str) -> Verdict | None:
    table = error_codes.NUMBERS.get(speaker)
    if table is None:
        return None
    found = next((table[code] for code in body.codes if code in table), None)
    # A rejected token is Cloudflare's 10000 too; there the status tells more.
    return None if found is rules.KEY_FORBIDDEN and body.status == 401 else found


def _coded(body: ErrorBody, speaker: str) -> Verdict | None:
    found = [
        error_codes.CODES[c]
        for c in body.codes
        if c in error_codes.CODES and _admits(body, error_codes.CODES[c])
    ]
    # The least specific word of a 429 is that it is one.
    found.sort(key=lambda verdict: verdict.kind is ErrorKind.RATE_LIMITED)
    if not found or (found[0].kind is ErrorKind.RATE_LIMITED and body.status == 429):
        return None
    return found[0]


def _worded(body: ErrorBody, speaker: str) -> Verdict | None:
    return _first((w for w in error_words.WORDS if _admits(body, w.verdict)), body)


def _windowed(body: ErrorBody, speaker: str) -> Verdict | None:
    """Which window a 429 is about: the one it names first."""
    if body.status != 429:
        return None
    text = " ".join((body.reason, *body.codes))
    hits = [(hit.start(), w.verdict) for w in error_words.WINDOWS if (hit := w.found(text))]
    return min(hits, key=lambda hit: hit[0])[1] if hits else None


_STEPS: tuple[Step, ...] = (
    _google_quota,
    _too_large,
    _upstream,
    _spoken,
    _numbered,
    _coded,
    _worded,
    _windowed,
)


def _first(entries: Iterable[Words], body: ErrorBody) -> Verdict | None:
    for words in entries:
        if (not words.statuses or body.status in words.statuses) and words.found(body.reason):
            return words.verdict
    return None


def _admits(body: ErrorBody, verdict: Verdict) -> bool:
    if body.status >= 500:
        return verdict.kind in rules.ADMITTED_5XX
    admitted = rules.ADMITTED.get(body.status)
    return admitted is None or verdict.kind in admitted


def _wait(
    verdict: Verdict, body: ErrorBody, headers: Mapping[str, str], provider: Provider, now: float
) -> float | None:
    if verdict.kind not in _PASSING or verdict.shortest == rules.NEVER:
        return None
    stated = stated_wait(headers, body.payload, now)
    if stated is not None and stated >= verdict.shortest:
        return stated
    if verdict.kind is ErrorKind.DAILY_QUOTA:
        reset = reset_moment(body.reason, provider.reset_zone, now)
        return reset if reset is not None else exhausted_reset(headers, now)
    return verdict.wait


def _size_allowed(body: ErrorBody) -> int | None:
    """Tokens a request may have, when the refusal says so."""
    if isinstance(body.payload, Mapping):
        error = body.payload.get("error")
        window = error.get("n_ctx") if isinstance(error, Mapping) else None
        if isinstance(window, int) and not isinstance(window, bool):
            return window
    for pattern in error_words.SIZES:
        if match := error_words.search(pattern, body.reason):
            return _number(match[1].replace(",", ""))
    return None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _status_line(status: int) -> str:
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"
