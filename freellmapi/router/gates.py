"""What stands in a candidate's way, gate by gate, with numbers and times: for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from freellmapi.core.catalog import Model
from freellmapi.core.chat import ChatRequest
from freellmapi.core.errors import ErrorKind
from freellmapi.core.route import Candidate, Gate
from freellmapi.core.values import dataclass
from freellmapi.router.cooldowns import BenchEntry
from freellmapi.router.counter import NEVER
from freellmapi.router.filters import unfit
from freellmapi.router.judge import Picture
from freellmapi.router.snapshot import LiveKey
from freellmapi.router.tally import Window, windows

WORDS: Mapping[ErrorKind, str] = MappingProxyType(
    {
        ErrorKind.RATE_LIMITED: "rate limited by {}",
        ErrorKind.DAILY_QUOTA: "the daily quota of {} is used up",
        ErrorKind.OUT_OF_CREDIT: "out of credit at {}",
        ErrorKind.KEY_REJECTED: "the key was rejected by {}",
        ErrorKind.MODEL_FORBIDDEN: "the key may not use the model at {}",
        ErrorKind.MODEL_GONE: "{} no longer has the model",
        ErrorKind.SERVER_ERROR: "{} had a server error",
        ErrorKind.BAD_ANSWER: "{} sent no usable answer",
        ErrorKind.TIMEOUT: "{} was too slow",
        ErrorKind.UNREACHABLE: "{} could not be reached",
        ErrorKind.STREAM_BROKEN: "a stream of {} broke off",
    }
)
"""What a candidate is benched for; ``{}`` is the provider's name."""


@dataclass(frozen=True, slots=True)
class GateWindow:
    """One cap of the headroom gate: ``scope`` is ``model``, or ``account`` over all models."""

    scope: str
    window: str
    cap: int
    used: int
    left: int
    resets_at: float


@dataclass(frozen=True, slots=True)
class Judged:
    """One gate, passed or not; ``until`` (epoch seconds) is when it opens, if time opens it."""

    gate: Gate
    passed: bool
    reason: str
    until: float | None = None
    kind: ErrorKind | None = None
    """What it is benched for."""
    scope: str | None = None
    """How much of the pool the bench covers: key_model, key, model, pool or provider."""
    windows: tuple[GateWindow, ...] = ()


def capability(chat: ChatRequest, model: Model, picture: Picture) -> Judged:
    """Whether the model can do what the request needs, and hold it."""
    window = picture.windows.get(model.ref, model.context)
    reason = unfit(chat, model, window)
    if reason is not None:
        return Judged(Gate.CAPABILITY, False, reason)
    room = f"window of {window:,}" if window is not None else "its window is not known"
    able = [f"can do {need.value.replace('_', ' ')}" for need in sorted(chat.needs)]
    said = [f"needs about {chat.prompt_tokens:,} tokens, {room}", *able]
    return Judged(Gate.CAPABILITY, True, "; ".join(said))


def key(live: LiveKey | None) -> Judged:
    """Whether the key may be used at all."""
    if live is None or live.usable:
        return Judged(Gate.KEY, True, live.status if live is not None else "")
    return Judged(Gate.KEY, False, live.reason)


def bench(candidate: Candidate, picture: Picture, now: float) -> tuple[Judged, BenchEntry | None]:
    """Whether a failure keeps it out, and the bench that does."""
    entry = picture.cooldowns.blocking(candidate, now)
    if entry is None:
        return Judged(Gate.BENCH, True, "not benched"), None
    entries = picture.cooldowns.entries()
    covers = (b.value for b, name in candidate.scopes.items() if entries.get(name) is entry)
    until = None if entry.until == NEVER else entry.until
    reason = _why_benched(entry, candidate.provider.name)
    return Judged(Gate.BENCH, False, reason, until, entry.kind, next(covers, None)), entry


def _why_benched(entry: BenchEntry, provider: str) -> str:
    what = WORDS.get(entry.kind, "{} failed").format(provider)
    if entry.on_trial:
        return f"{what}; one request is trying it again"
    if entry.own:
        times = "once" if entry.strikes == 1 else f"{entry.strikes} times in a row"
        return f"{what}, {times}"
    if entry.until == NEVER:
        return f"{what}, until it is checked or replaced"
    return f"{what}, stated wait" if entry.stated else what


def headroom(candidate: Candidate, tokens: int, picture: Picture, now: float) -> Judged:
    """Whether every cap that the call counts against leaves room for it."""
    opens = picture.ledger.opens_at(candidate.buckets, tokens, now)
    found = list(_scoped(candidate, picture, now))
    numbers = tuple(
        GateWindow(scope, w.window, w.cap, w.used, w.left, w.resets_at) for scope, w in found
    )
    if opens <= now:
        reason = _tightest(found) or "no cap is known"
        full = _calls_under_way(candidate, picture, now)
        reason = f"{reason}; {full}" if full else reason
        return Judged(Gate.HEADROOM, True, reason, windows=numbers)
    until = None if opens == NEVER else opens
    return Judged(Gate.HEADROOM, False, _full(found, tokens, until), until, windows=numbers)


def _scoped(candidate: Candidate, picture: Picture, now: float) -> Iterator[tuple[str, Window]]:
    scopes = ("model", "account")
    for scope, bucket in zip(scopes, candidate.buckets, strict=False):
        for window in windows(picture.ledger.tally(bucket, now), now):
            yield scope, window


def _calls_under_way(candidate: Candidate, picture: Picture, now: float) -> str:
    """Says so when all calls that may be made at once are: nobody knows when one ends."""
    for bucket in candidate.buckets:
        tally = picture.ledger.tally(bucket, now)
        most = tally.limits.concurrency
        if most is not None and tally.in_flight >= most:
            return (
                f"{tally.in_flight} of {most} calls are under way, it is passed by until one ends"
            )
    return ""


def _tightest(found: list[tuple[str, Window]]) -> str:
    tightest = max(found, key=lambda f: f[1].used / f[1].cap if f[1].cap else 1.0, default=None)
    return _said(*tightest) if tightest else ""


def _said(scope: str, window: Window) -> str:
    return f"{window} over all its models" if scope == "account" else str(window)


def _full(found: list[tuple[str, Window]], tokens: int, until: float | None) -> str:
    """The cap that is in the way; of several the one that stays longest."""
    if until is None:
        return "its cap is 0"
    full = [
        (scope, w)
        for scope, w in found
        if w.used + (1 if w.unit == "requests" else tokens) > w.cap and w.used > 0
    ]
    if not full:
        return "the provider says that nothing is left"
    scope, window = max(full, key=lambda f: f[1].resets_at)
    needs = f"needs about {tokens:,} tokens: " if window.unit == "tokens" else ""
    return needs + _said(scope, window)
