"""Looking at the candidates that come next without asking them yet."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from freellmapi.core.route import Candidate


class Lookahead:
    """An iterator over candidates that can say what is next."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._candidates = self._in_turn(candidates)
        self._peeked: list[Candidate] = []
        self._silent: set[str] = set()
        self._last: list[Candidate] = []

    def __iter__(self) -> Lookahead:
        return self

    def __next__(self) -> Candidate:
        return self._peeked.pop(0) if self._peeked else next(self._candidates)

    def has_more(self) -> bool:
        return self.peek() is not None

    def peek(self) -> Candidate | None:
        """The next one, which stays the next one."""
        if not self._peeked:
            self._peeked.extend(itertools.islice(self._candidates, 1))
        return self._peeked[0] if self._peeked else None

    def some(self, count: int) -> tuple[Candidate, ...]:
        """The next ones, up to so many, which stay the next ones."""
        missing = max(count - len(self._peeked), 0)
        self._peeked.extend(itertools.islice(self._candidates, missing))
        return tuple(self._peeked[:count])

    def put_off(self, provider: str) -> None:
        """What is still to come of this provider comes after everybody else."""
        self._silent.add(provider)
        self._last += [c for c in self._peeked if c.provider.id == provider]
        self._peeked = [c for c in self._peeked if c.provider.id != provider]

    def _in_turn(self, candidates: Iterable[Candidate]) -> Iterator[Candidate]:
        for candidate in candidates:
            if candidate.provider.id in self._silent:
                self._last.append(candidate)
            else:
                yield candidate
        while self._last:
            yield self._last.pop(0)

    def take(self, candidate: Candidate) -> None:
        """One of ``some`` out of its turn."""
        self._peeked.remove(candidate)
