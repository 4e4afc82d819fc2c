"""What providers' sentences mean: named lists, each entry with who says it.

Sources: the providers' error pages and the bodies seen in public code, read 2026-11-22.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from freellmapi.core.errors import Bench, ErrorKind
from freellmapi.providers.error_rules import (
    BUSY,
    CONTENT_POLICY,
    CONTEXT_TOO_LONG,
    DAY_NAMED,
    HINT,
    HOURLY,
    KEY_FORBIDDEN,
    KEY_REJECTED,
    MODEL_DAILY_QUOTA,
    MODEL_FORBIDDEN,
    MODEL_GONE,
    NEVER,
    OUT_OF_CREDIT,
    RATE_LIMITED,
    REGION_BLOCKED,
    TURNED_AWAY,
    UNFIT,
    Verdict,
)

K = ErrorKind


class Words(NamedTuple):
    """A sentence, the statuses under which it counts (none: any), and what it means."""

    pattern: str
    verdict: Verdict
    statuses: frozenset[int] = frozenset()

    def found(self, text: str) -> re.Match[str] | None:
        return search(self.pattern, text)


def search(pattern: str, text: str) -> re.Match[str] | None:
    """Compiled when an error is first held against it: all of them took 4 ms of each start."""
    return re.search(pattern, text, re.IGNORECASE)


def _words(pattern: str, verdict: Verdict, *statuses: int) -> Words:
    return Words(pattern, verdict, frozenset(statuses))


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
    r"\bmodels?[ :/]{0,3}[`'\"]?[\w./:@+-]{0,100}[`'\"]?,? "
    r"(?:(?:does )?not exist|(?:was |is )?not found|is not available"
    r"|is not a valid model|(?:is )?no longer (?:available|supported)"
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
SIZES = (
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
