"""Texts of others made fit to be shown: one line, short, and without secrets."""

from __future__ import annotations

import re

MAX_MESSAGE = 300
MASK = "[redacted]"
_MAX_READ = 1_500

# Compiled when a text is first held against them: that took 2 ms of each start.
_SECRETS = (
    # Named by what stands before them. The scheme alone ("Bearer token") is no secret.
    r"(?i)\b(?:Bearer|Basic|Token)\s+(?=\S*[\d*…_-]|\S+\.\S)[^\s\"',;]{6,}",
    r"(?i)(?<=[?&])(?:key|api[-_]?key|token|access[-_]token)=[^\s&\"']+",
    (
        r"(?i)\b(?:x-)?(?:api|access|auth|goog|secret|subscription)[-_ ]?(?:api[-_ ]?)?"
        r"(?:key|token)(?:\s+provided)?[\"'`]?\s*[:=]\s*[\"'`]?[^\s\"'`,;]+"
    ),
    r"(?i)\bending (?:in|with) [\"'`]?[^\s\"'`,;]+",
    # Named by their own beginning, a whole key or what a provider shows of it ("sk-...3fa2").
    (
        r"(?<![A-Za-z0-9])(?:sk|pk|rk|gsk|csk|cpk|hf|nvapi|gh[opsur]|github_pat|xai|tgp|ms|dop)"
        r"[-_](?=[^\s\"'`,;]*[\d*.…])[^\s\"'`,;()<>]{6,}"
    ),
    r"(?<![A-Za-z0-9])(?:sk|gsk|csk|nvapi|github_pat)[-_][A-Za-z0-9_-]{16,}",
    r"(?<![A-Za-z0-9])(?:AIza|AQ\.|ya29\.|eyJ)[A-Za-z0-9_.*…-]{6,}",
    r"(?<![A-Za-z0-9])(?:org|proj|user|acct)[-_](?=\w*\d)[A-Za-z0-9]{16,}",
    r"[^\s\"'`]*\*{3,}[^\s\"'`]*",
    # Named by their look.
    r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b",
    # A model's id is as long, but made of short words.
    r"(?=[\w-]*\d)(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*[A-Za-z0-9]{13})[A-Za-z0-9_-]{32,}",
)
_LONG_TOKEN = re.compile(r"[A-Za-z0-9]{32,}(?:[.:][A-Za-z0-9_-]{6,})*")
_CAMEL_CASE = re.compile(r"(?:[A-Z][a-z]{2,14})+")


_known: set[str] = set()
_SHORTEST = 8
"""Characters from which on a key is told from an ordinary word."""


def remember(secret: str) -> None:
    """From now on this key is masked wherever a text repeats it, whatever it looks like.

    For as long as the process lives: a late error may repeat a key that is gone.
    """
    if len(secret) >= _SHORTEST:
        _known.add(secret)


def without_known(text: str) -> str:
    """``text`` with every key masked that a request was made with."""
    for secret in tuple(_known):
        text = text.replace(secret, MASK)
    return text


def redact(text: str) -> str:
    """``text`` with all that is a key, or looks like one or a part of one, masked."""
    text = without_known(text)
    for pattern in _SECRETS:
        text = re.sub(pattern, MASK, text)
    return _LONG_TOKEN.sub(_mask_token, text)


def one_line(text: str, limit: int = MAX_MESSAGE) -> str:
    """``text`` as a message: no control characters, one line, no secrets, at most ``limit``."""
    if len(text) > _MAX_READ:
        # The last word may be half a key, which would not be known as one.
        text = text[:_MAX_READ].rpartition(" ")[0]
    text = redact(" ".join(_printable(text).split()))
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _mask_token(match: re.Match[str]) -> str:
    # GenerateRequestsPerDayPerProjectPerModel is long, and words.
    return match[0] if _CAMEL_CASE.fullmatch(match[0]) else MASK


def _printable(text: str) -> str:
    """Without controls, direction marks, zero-width characters and lone surrogates."""
    if text.isprintable():
        return text
    return "".join(c for c in text if c.isprintable() or c.isspace())
