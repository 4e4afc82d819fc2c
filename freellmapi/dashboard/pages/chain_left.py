"""What is left of a model's caps, in one figure."""

from __future__ import annotations

from collections.abc import Sequence

from freellmapi.core.route import Gate
from freellmapi.core.values import dataclass
from freellmapi.router.explain import Considered
from freellmapi.router.gates import GateWindow
from freellmapi.router.tally import PERIODS, REQUESTS

TOKENS_A_CALL = 1_500
"""A guess, with which caps of tokens are compared with caps of requests."""
LOW = 0.2
_A_DAY = {"rpm": 1_440.0, "tpm": 1_440.0, "requests_per_month": 1 / 30, "tokens_per_month": 1 / 30}


@dataclass(frozen=True, slots=True)
class Left:
    """What all keys of a model have left of their tightest caps, as a share and in words."""

    share: float
    left: int
    unit: str
    period: str
    said: str
    kind: str | None
    calls_a_day: float
    """About as many calls as that is, to compare models by."""


def left_of(found: Sequence[Considered], *, one_pool: bool) -> Left | None:
    """All keys together, of the cap that matters most; None where none is known."""
    tightest = [w for one in found if (w := _tightest(one)) is not None]
    if not tightest:
        return None
    of = [w for w in tightest if w.window == tightest[0].window]
    if one_pool:
        of = of[:1]
    window = of[0].window
    left, cap = sum(w.left for w in of), sum(w.cap for w in of)
    share = left / cap if cap else 0.0
    unit = "requests" if window in REQUESTS else "tokens"
    calls = left * _A_DAY.get(window, 1.0) / (1 if unit == "requests" else TOKENS_A_CALL)
    period = PERIODS[window]
    kind = "invalid" if left <= 0 else "limited" if share <= LOW else None
    said = f"{left:,} of {cap:,} {unit} left {period}"
    return Left(share, left, unit, period, said, kind, calls)


def _tightest(one: Considered) -> GateWindow | None:
    """Of a day or month if any; what is nearly used up, then requests, then the least share."""
    windows = [w for gate in one.gates if gate.gate is Gate.HEADROOM for w in gate.windows]
    order = sorted(
        windows,
        key=lambda w: (
            w.window in ("rpm", "tpm"),
            _share(w) > LOW,
            w.window not in REQUESTS,
            _share(w),
        ),
    )
    return order[0] if order else None


def _share(window: GateWindow) -> float:
    return window.left / window.cap if window.cap else 0.0
