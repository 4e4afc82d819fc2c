"""Whether a text can be a key of a provider, by its look alone."""

from __future__ import annotations

import re
from collections.abc import Iterable

from freellmapi.core.catalog import Provider

_PLACEHOLDER = re.compile(
    r"""(?ix) <.*> | \$\{?\w+\}? | \{.*\} | \.{3} .* | .* \.{3} | [x*•.]+ | .*[x*•]{8,} .*
    | (sk|gsk|csk|hf|pk)?[-_]? (your|insert|paste|enter)[-_\s] .*
    | (none|null|nil|true|false|todo|tbd|changeme|change[-_]me|replace[-_]?me|secret|token|key
    | api[-_]?key|dummy|example|placeholder|redacted)"""
)


def misfit(secret: str, provider: Provider, providers: Iterable[Provider]) -> str | None:
    """Why ``secret`` cannot well be a key of ``provider``, or None; never the secret itself."""
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        return "The key holds spaces or characters that no key has; was it copied whole?"
    try:
        provider.key_parts(secret)
    except ValueError as exc:
        return f"This cannot be right: {exc}."
    if provider.key_pattern is None or re.search(provider.key_pattern, secret):
        return None
    others = [p.name for p in resembled(secret, providers)]
    expected = f" (expected: {provider.key_hint})" if provider.key_hint else ""
    likeness = f" It looks like one of {' or '.join(others)}." if others else ""
    return f"This does not look like a key of {provider.name}{expected}.{likeness}"


def resembled(secret: str, providers: Iterable[Provider]) -> tuple[Provider, ...]:
    """The providers whose keys look like this one."""
    return tuple(p for p in providers if p.key_pattern and re.search(p.key_pattern, secret))


def is_placeholder(secret: str) -> bool:
    """Whether a text only stands where a key should: ``your-key-here``, ``<key>``, ``xxx``."""
    return not secret or _PLACEHOLDER.fullmatch(secret) is not None
