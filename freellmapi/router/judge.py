"""Judges the candidates for one request, in turn, and remembers which models are closed."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field

from freellmapi.core.catalog import Model
from freellmapi.core.chat import ChatRequest
from freellmapi.core.clock import Clock
from freellmapi.core.route import Candidate, Gate, Skipped
from freellmapi.core.values import dataclass
from freellmapi.router.calibration import Calibration
from freellmapi.router.closed import LONGEST, Leading, Shut
from freellmapi.router.cooldowns import Cooldowns
from freellmapi.router.counter import NEVER
from freellmapi.router.filters import unfit
from freellmapi.router.ledger import Ledger
from freellmapi.router.left_out import LeftOut, benched, capped, summed_up, unable, unusable
from freellmapi.router.line import Line
from freellmapi.router.snapshot import Snapshot

SAME = 0.01
"""Seconds by which two times may differ that mean the same."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The state that a plan reads and never changes."""

    snapshot: Snapshot
    cooldowns: Cooldowns
    ledger: Ledger
    clock: Clock
    windows: Mapping[str, int]
    """Model ref -> context window learned from refusals, in tokens."""
    line: Line = field(default_factory=Line)
    """Requests that came before, and wait for calls under way."""
    calibration: Calibration = field(default_factory=Calibration)
    """How each model counts tokens."""


def cost(chat: ChatRequest, model: Model, calibration: Calibration) -> int:
    """Tokens to hold for a call: the prompt as this model counts it, and its answer."""
    prompt = chat.prompt_tokens * calibration.factor(model.ref)
    return int(prompt) + calibration.expected_output(model, chat.max_tokens)


class Judge:
    """Judges candidates for one request, of these models."""

    def __init__(self, chat: ChatRequest, models: Sequence[Model], picture: Picture) -> None:
        self.skipped: list[Skipped] = []
        self._chat = chat
        self._models = models
        self._picture = picture
        self._closed = picture.ledger.closed
        self._passed: deque[Model] = deque()

    def candidates(self) -> Iterator[Candidate]:
        models, closed, any_drawn = self._models, self._closed, False
        now = self._picture.clock.now()
        leading = self._leading(now)
        count = 0 if leading is None else leading.count
        self._passed.extend(models[:count])
        for model in itertools.islice(models, count, None):
            if closed.shut(model, self._cost, now) is not None:
                self._passed.append(model)
                continue
            before, is_open = len(self.skipped), False
            for candidate in self._open(model, self.skipped):
                any_drawn = is_open = True
                yield candidate
            now = self._picture.clock.now()
            if not is_open and closed.shut(model, self._cost, now) is not None:
                # To be summed up with the others.
                del self.skipped[before:]
                self._passed.append(model)
        if any_drawn:
            return
        for candidate in self._open_after_all():
            any_drawn = True
            yield candidate
        if not any_drawn:
            yield from self._last_resort()

    def look_at_passed(self) -> None:
        """Say why nobody of the models that were passed by could be asked."""
        for _ in self._open_after_all():
            pass

    def at_caps(self, candidates: Sequence[Candidate]) -> list[Skipped]:
        """Which of these the request could be served by, but for their caps."""
        asked = {c.ref: self._unfit(c.model) is None for c in candidates}
        refs = {m.ref for m in self._models if asked.get(m.ref)} if asked else ()
        able = [c for c in candidates if c.ref in refs]
        found = [row[2] for c in able if (row := self._in_the_way(c, [])) is not None]
        return [skipped for skipped in found if skipped.gate is Gate.HEADROOM]

    def _last_resort(self) -> Iterator[Candidate]:
        """Of those that only our own judgement benches, the one whose bench ends first."""
        own = [(s.until or 0.0, s.candidate) for s in self.skipped if s.own and s.candidate]
        if own:
            yield min(own, key=lambda found: found[0])[1]

    def _leading(self, now: float) -> Leading | None:
        """The models that are closed at least, by all that is known by now."""
        picture, closed, chat = self._picture, self._closed, self._chat
        changed = picture.cooldowns.changed
        closed.renew(picture.snapshot.version, changed)
        changed.clear()
        size = (chat.prompt_tokens, chat.max_tokens)
        return closed.leading(self._models, size, self._cost, picture.calibration.version, now)

    def _cost(self, model: Model) -> int:
        return cost(self._chat, model, self._picture.calibration)

    def _unfit(self, model: Model) -> str | None:
        return unfit(self._chat, model, self._picture.windows.get(model.ref, model.context))

    # Models passed by.

    def _open_after_all(self) -> Iterator[Candidate]:
        """Those of the models passed by that are open after all; the others are summed up."""
        if not self._passed or self._are_told_already():
            return
        now = self._picture.clock.now()
        shut: dict[str, Sequence[Skipped]] = {}
        while self._passed:
            model = self._passed.popleft()
            reason = self._unfit(model)
            found = self._closed.shut(model, self._cost, now)
            if reason is not None:
                shut[model.ref] = (unable(model, reason),)
            elif found is not None:
                shut[model.ref] = found.left_out
            else:
                yield from self._open(model, self.skipped)
        told = _told(shut.values())
        if not self._is_exact(told):
            yield from self._judge_soonest(shut)
            told = _told(shut.values())
        self.skipped += told

    def _are_told_already(self) -> bool:
        """Whether all models were passed by, and what is to be said of them is known."""
        leading = self._leading(self._picture.clock.now())
        if leading is None or not len(self._models) == len(self._passed) == leading.count:
            return False
        if not self._closed.narrowest(self._models).suits(self._chat, self._picture.windows):
            return False
        if leading.told is None:
            leading.told = _told(self._closed.left_out(self._models))
        if not self._is_exact(leading.told):
            return False
        self._passed.clear()
        self.skipped += leading.told
        return True

    def _is_exact(self, told: Iterable[Skipped]) -> bool:
        """Whether the first cap to open still opens at that time, for a call like this."""
        soonest = min((row for s in told if (row := _timed(s))), default=None, key=lambda r: r[0])
        if soonest is None:
            return True
        until, candidate = soonest
        now = self._picture.clock.now()
        tokens = self._cost(candidate.model)
        return self._picture.ledger.opens_at(candidate.buckets, tokens, now) <= until + SAME

    def _judge_soonest(self, shut: dict[str, Sequence[Skipped]]) -> Iterator[Candidate]:
        """Judge anew those that may be first to open, until it is known who is.

        What was used since, or a larger call than the remembered one, may have to wait
        longer than is remembered, never less.
        """
        models = self._picture.snapshot.catalog.by_ref
        first = NEVER
        judged: set[str] = set()
        rows = [(row[0], ref) for ref, found in shut.items() for s in found if (row := _timed(s))]
        for until, ref in sorted(rows):
            if until >= first:
                break
            if ref not in judged:
                judged.add(ref)
                found: list[Skipped] = []
                yield from self._open(models[ref], found)
                shut[ref] = found
                first = min([first, *(row[0] for s in found if (row := _timed(s)))])

    # One model.

    def _open(self, model: Model, skipped: list[Skipped]) -> Iterator[Candidate]:
        """The candidates of a model that can be asked; the others are skipped."""
        picture = self._picture
        reason = self._unfit(model)
        if reason is not None:
            skipped.append(unable(model, reason))
            return
        candidates = picture.snapshot.candidates.get(model.ref, ())
        if not candidates:
            skipped.append(unusable(model, picture.snapshot))
            self._close(model, skipped[-1:], NEVER, 0, ())
            return
        before, earliest, tokens = len(skipped), NEVER, 0
        names: list[str] = []
        for candidate in by_headroom(candidates, picture):
            found = self._in_the_way(candidate, names)
            if found is None:
                earliest = 0.0
                yield candidate
                continue
            opens, needed, left_out = found
            earliest, tokens = min(earliest, opens), max(tokens, needed)
            skipped.append(left_out)
        if earliest > picture.clock.now():
            names += {name for c in candidates for name in c.scopes.values()}
            self._close(model, skipped[before:], earliest, tokens, names)

    def _close(
        self,
        model: Model,
        skipped: Sequence[Skipped],
        until: float,
        tokens: int,
        names: Iterable[str],
    ) -> None:
        now = self._picture.clock.now()
        shut = Shut(now, min(until, now + LONGEST), tokens, summed_up(skipped))
        self._closed.close(model, shut, names)

    def _in_the_way(
        self, candidate: Candidate, names: list[str]
    ) -> tuple[float, int, Skipped] | None:
        """None if it can be asked. Else until when it cannot, for calls of what size at
        least, and why; ``names`` is told of the bucket that must stay as it is for that.
        """
        picture = self._picture
        ledger, now = picture.ledger, picture.clock.now()
        bench = picture.cooldowns.blocking(candidate, now)
        if bench is not None:
            return bench.until, 0, benched(candidate, bench)
        tokens = self._cost(candidate.model)
        opens = ledger.opens_at(candidate.buckets, tokens, now)
        if opens <= now and picture.line.is_free(candidate):
            return None
        last = candidate.buckets[0]
        if len(candidate.buckets) > 1:
            # As long as the one that opens last stays as it is, no other one matters.
            last = max(candidate.buckets, key=lambda b: ledger.opens_at((b,), tokens, now))
        names.append(last.name)
        if ledger.opens_at((last,), 0, now) >= opens:
            tokens = 0
        return opens, tokens, capped(candidate, opens)


def _told(left_out: Iterable[Sequence[Skipped]]) -> Sequence[Skipped]:
    """All that is to be said of these models."""
    told = LeftOut()
    for of_model in left_out:
        told.add(of_model)
    return told.entries()


def _timed(skipped: Skipped) -> tuple[float, Candidate] | None:
    """When a cap opens, and whose it is."""
    if skipped.gate is not Gate.HEADROOM or skipped.until is None or skipped.candidate is None:
        return None
    return skipped.until, skipped.candidate


def by_headroom(candidates: Sequence[Candidate], picture: Picture) -> Sequence[Candidate]:
    """Keys of one model, the one with most left first."""
    if len(candidates) < 2:
        return candidates
    now = picture.clock.now()
    return sorted(candidates, key=lambda c: picture.ledger.pressure(c.buckets, now))
