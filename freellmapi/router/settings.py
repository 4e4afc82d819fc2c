"""The router's settings: names, ranges and defaults as users see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from freellmapi.core.values import dataclass

STRATEGIES = ("priority", "balanced", "fast", "smart", "reliable")
RECOVERIES = ("continue", "error")


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """All durations are seconds."""

    strategy: str = "priority"
    max_wait: float = 15
    stream_recovery: str = "continue"
    connect_timeout: float = 5
    first_byte_timeout: float = 12
    """To the first token while another candidate is viable."""
    last_first_byte_timeout: float = 60
    idle_timeout: float = 25
    patience: float = 3
    attempt_budget: float = 60
    max_attempts: int = 20
    sticky_ttl: float = 1800
    ping_interval: float = 10
    probe_interval: float = 300
    log_retention_days: float = 90
    hedging: bool = False
    hedging_share: float = 0.05
    """Of a day's requests, at most; a share, not seconds."""

    def merged(self, given: Mapping[str, Any]) -> tuple[RouterSettings, tuple[str, ...]]:
        """These settings with the given ones, and a sentence for each that is not usable."""
        good: dict[str, Any] = {}
        problems: list[str] = []
        known = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, value in given.items():
            problem = _problem(name, value, known)
            if problem:
                problems.append(problem)
            else:
                good[name] = value
        return replace(self, **good), tuple(problems)


_CHOICES = {"strategy": STRATEGIES, "stream_recovery": RECOVERIES}
_MAY_BE_ZERO = {"max_wait", "patience", "probe_interval", "sticky_ttl", "hedging_share"}


def _problem(name: str, value: object, known: Mapping[str, Any]) -> str | None:
    if name not in known:
        return f"settings.{name} is not a setting; there are: {', '.join(known)}."
    if name in _CHOICES:
        if value in _CHOICES[name]:
            return None
        return f"settings.{name} is {value!r}; it is one of {', '.join(_CHOICES[name])}."
    if isinstance(known[name], bool):
        return (
            None if isinstance(value, bool) else f"settings.{name} is {value!r}, not true or false."
        )
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"settings.{name} is {value!r}, not a number."
    if name == "max_attempts" and (not isinstance(value, int) or not 1 <= value <= 100):
        return f"settings.{name} is {value!r}; it is a whole number from 1 to 100."
    if name == "hedging_share" and not 0 <= value <= 1:
        return f"settings.{name} is {value!r}; it is a share from 0 to 1."
    # Written so that NaN, which TOML can say, is out of range too.
    if not 0 <= value <= 1e6 or (value == 0 and name not in _MAY_BE_ZERO):
        return f"settings.{name} is {value!r}, which is out of range."
    return None
