"""Models that nobody can be asked for now: remembered, so that a plan passes them by at once.

Judging a model costs microseconds a key; hundreds of models at their caps would cost each
request milliseconds. What is remembered is forgotten when anything that it was found by
changes, and errs to one side only: it ends early, never late.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from freellmapi.core.catalog import Model
from freellmapi.core.route import Skipped
from freellmapi.core.values import dataclass
from freellmapi.router.filters import Narrowest

LONGEST = 900.0
"""Seconds after which a model is judged anew, whatever was said of it."""
Size = tuple[int, int | None]
"""Of a request: tokens of its prompt, and the most that it asks for."""


@dataclass(frozen=True, slots=True)
class Shut:
    """A model that nobody can be asked for, as it was found at ``since``."""

    since: float
    until: float
    """When that may change by time alone (epoch seconds)."""
    tokens: int
    """What a call had to cost at the least for it to be so; 0: a call of any size."""
    left_out: tuple[Skipped, ...]
    """Its candidates, summed up."""

    def holds(self, now: float) -> bool:
        # A clock that is set back brings back a time of which nothing was said.
        return self.since <= now < self.until


@dataclass(slots=True)
class Leading:
    """How many of the first of these models are closed, and for what calls."""

    models: Sequence[Model]
    count: int
    since: float
    until: float
    size: Size | None
    """Of the request for which they are; None: for any."""
    calibrated: int
    """How often the counting of tokens had changed by then."""
    told: Sequence[Skipped] | None = None
    """Who is left out of all of them, summed up once somebody has asked."""

    def holds(self, models: Sequence[Model], size: Size, calibrated: int, now: float) -> bool:
        return (
            self.models is models
            and self.since <= now < self.until
            and (
                self.size is None
                or (self.calibrated == calibrated and _is_as_large(size, self.size))
            )
        )


def _is_as_large(size: Size, other: Size) -> bool:
    """Whether such a call costs no less than the other, however a model counts."""
    (prompt, most), (its_prompt, its_most) = size, other
    if prompt < its_prompt:
        return False
    return most == its_most or (most is not None and its_most is not None and most >= its_most)


class Closed:
    """What is known of closed models, by ref."""

    def __init__(self) -> None:
        self._shut: dict[str, Shut] = {}
        self._by_name: dict[str, set[str]] = {}
        self._version: object = None
        self._leading: Leading | None = None
        self._narrowest: tuple[Sequence[Model], Narrowest] = ((), Narrowest.of(()))

    def renew(self, version: object, changed: Collection[str]) -> None:
        """Forget all under another configuration, and what was found by ``changed`` benches."""
        if version != self._version:
            self._shut.clear()
            self._by_name.clear()
            self._version = version
            self._leading = None
        for name in changed:
            self.eased(name)

    def shut(self, model: Model, cost: Callable[[Model], int], now: float) -> Shut | None:
        """What is known of a model that is closed for a call of such a ``cost``."""
        shut = self._shut.get(model.ref)
        if shut is None or not shut.since <= now < shut.until:
            return None
        return shut if not shut.tokens or shut.tokens <= cost(model) else None

    def leading(
        self,
        models: Sequence[Model],
        size: Size,
        cost: Callable[[Model], int],
        calibrated: int,
        now: float,
    ) -> Leading | None:
        """The models that are closed at least, from the first on; None: none of them.

        The same sequence is mostly asked about again, so its answer is kept.
        """
        kept = self._leading
        if kept is not None and kept.holds(models, size, calibrated, now):
            return kept
        until, any_size, count, known = now + LONGEST, True, 0, self._shut
        for model in models:
            shut = known.get(model.ref)
            if shut is None or not shut.since <= now < shut.until:
                break
            if shut.tokens:
                if shut.tokens > cost(model):
                    break
                any_size = False
            until = shut.until if shut.until < until else until
            count += 1
        if not count:
            self._leading = None
            return None
        sized = None if any_size else size
        self._leading = Leading(models, count, now, until, sized, calibrated)
        return self._leading

    def narrowest(self, models: Sequence[Model]) -> Narrowest:
        """What each of them can do; it is mostly the same sequence that is asked about."""
        if self._narrowest[0] is not models:
            self._narrowest = (models, Narrowest.of(models))
        return self._narrowest[1]

    def left_out(self, models: Iterable[Model]) -> Iterator[Sequence[Skipped]]:
        """What is known of those that are closed."""
        return (shut.left_out for m in models if (shut := self._shut.get(m.ref)) is not None)

    def close(self, model: Model, shut: Shut, names: Iterable[str]) -> None:
        """No key of this model can be asked.

        ``names`` are those of the buckets and benches that must stay as they are for that.
        """
        kept = self._shut.get(model.ref)
        if kept is not None and kept.holds(shut.since) and 0 < kept.tokens < shut.tokens:
            # What is known of smaller calls holds for larger ones too.
            return
        self._shut[model.ref] = shut
        self._leading = None
        for name in names:
            self._by_name.setdefault(name, set()).add(model.ref)

    def eased(self, name: str) -> None:
        """A bucket has more room than it had, or a bench has changed."""
        refs = self._by_name.pop(name, None)
        if refs is None:
            return
        self._leading = None
        for ref in refs:
            self._shut.pop(ref, None)
