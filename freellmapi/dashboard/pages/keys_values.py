"""The values that the page Keys is rendered from."""

from __future__ import annotations

from dataclasses import field

from freellmapi.core.catalog import Provider
from freellmapi.core.limits import Limits
from freellmapi.core.values import dataclass
from freellmapi.dashboard.filters import count, tokens
from freellmapi.dashboard.pages.keys_meter import Left
from freellmapi.router.snapshot import ANONYMOUS

_CAUTIONS = (
    ("evaluation only", "evaluation only"),
    ("non-commercial", "non-commercial"),
    ("are used for training", "trains on prompts"),
    ("training", "may train on prompts"),
    ("read by", "others can read prompts"),
)
"""Words of the catalog's terms, and what a row says of them; the first that fits."""


@dataclass(frozen=True, slots=True)
class State:
    """``kind`` as the macro ``state`` takes it; ``until`` in epoch seconds."""

    kind: str
    word: str
    why: str = ""
    until: float | None = None


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key; ``stored`` ones can be switched off and removed here."""

    id: str
    mask: str
    label: str
    state: State
    stored: bool
    enabled: bool
    told_at: float | None
    used_at: float | None
    left: Left | None


@dataclass(frozen=True, slots=True)
class ModelRow:
    id: str
    enabled: bool
    limits: str
    confidence: str
    state: State | None


@dataclass(frozen=True, slots=True)
class ProviderRow:
    provider: Provider
    group: str
    state: State
    keys: tuple[KeyRow, ...]
    left: Left | None
    limits: str
    model_count: int
    models: tuple[ModelRow, ...]
    """Only of a row that is open."""
    is_open: bool
    is_custom: bool
    """Of the user's own, and to be removed here."""

    @property
    def count(self) -> str:
        """``2 keys``; those that nobody had to bring do not count."""
        n = sum(key.id != ANONYMOUS for key in self.keys)
        return "" if not n else "1 key" if n == 1 else f"{n} keys"

    @property
    def refused(self) -> int:
        """Its refused keys, where the best one is not."""
        if self.state.kind == "invalid":
            return 0
        return sum(key.state.kind == "invalid" for key in self.keys)

    @property
    def caution(self) -> str:
        """What of its terms should be known before a key is got; empty when nothing."""
        terms = self.provider.terms.lower()
        return next((word for sign, word in _CAUTIONS if sign in terms), "")


@dataclass(frozen=True, slots=True)
class Group:
    id: str
    title: str
    rows: tuple[ProviderRow, ...]


@dataclass(frozen=True, slots=True)
class KeysPage:
    groups: tuple[Group, ...]
    unified_mask: str
    has_key: bool
    has_served: bool
    patterns: tuple[tuple[str, str, str, str], ...] = field(repr=False)
    """(id, name, pattern, hint) of every provider that takes a key."""


def limits_text(limits: Limits) -> str:
    """``30 requests/min · 1,000 a day``; empty when none is stated."""
    said = (
        (limits.rpm, count, "requests/min"),
        (limits.rpd, count, "requests/day"),
        (limits.requests_per_month, count, "requests/month"),
        (limits.tpm, tokens, "tokens/min"),
        (limits.tpd, tokens, "tokens/day"),
        (limits.tokens_per_month, tokens, "tokens/month"),
        (limits.concurrency, count, "at a time"),
    )
    return " · ".join(f"{form(cap)} {unit}" for cap, form, unit in said if cap is not None)
