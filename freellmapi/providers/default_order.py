"""The order in which a new installation tries its models."""

from __future__ import annotations

from freellmapi.core.catalog import Model, Provider
from freellmapi.core.limits import Limits

SCARCE_PER_DAY = 100
"""Below so many requests a day a model is a reserve, not a daily companion."""

# What is added to the intelligence rank (1 is the smartest model, about 90 the weakest).
_SCARCE = 30
_KEYLESS = 30
_SLOW = 20
_GUESSED = 20
_UNSURE = 10
_SPEED = 3


def score(model: Model, provider: Provider) -> int:
    """How late a model comes: its intelligence rank, and what speaks against it by default.

    A cap of 20 requests a day, or an allowance that nobody states, would serve the first
    few questions of a morning and then change the model in the middle of a conversation:
    a somewhat weaker model that lasts all day comes first, and the scarce one stands
    behind it for busy minutes (the strategy ``smart`` asks it first). Keyless providers
    count per address, and some keep what they are sent: they serve when no key does.
    Slow first tokens, guessed caps and trials that may have lapsed cost a few places.
    """
    total = model.intelligence_rank + _SPEED * model.speed_rank
    if _per_day(model.limits, provider.account_limits) < SCARCE_PER_DAY:
        total += _SCARCE
    elif model.confidence == "none":
        total += _SCARCE
    if provider.keyless:
        total += _KEYLESS
    if provider.first_byte_timeout is not None:
        total += _SLOW
    if model.confidence == "guess":
        total += _GUESSED
    if provider.status in ("trial", "live_uncertain", "promo") or model.status == "uncertain":
        total += _UNSURE
    return total


def default_order_key(model: Model, provider: Provider) -> tuple[bool, bool, int, str]:
    """Sorts enabled models first, this machine's own last among them, then by score."""
    here = provider.local and provider.status != "user"
    return not model.enabled, here, score(model, provider), model.ref


def _per_day(*caps: Limits) -> float:
    stated = [float(c.rpd) for c in caps if c.rpd is not None]
    stated += [c.requests_per_month / 30 for c in caps if c.requests_per_month is not None]
    return min(stated, default=float("inf"))
