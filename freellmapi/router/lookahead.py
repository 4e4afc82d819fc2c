"""Looking at the candidates that come next without asking them yet."""

from __future__ import annotations

from collections.abc import Iterable

from freellmapi.core.route import Candidate


class Lookahead:
    """An iterator over candidates that can say what is next."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._candidates = iter(candidates)
        self._peeked: list[Candidate] = []
        self._silent: set[str] = set()
        self._last: list[Candidate] = []

    def __iter__(self) -> Lookahead:
        return self

    def __next__(self) -> Candidate:
        found = self._peeked.pop(0) if self._peeked else self._drawn()
        if found is None:
            raise StopIteration
        return found

    def has_more(self) -> bool:
        return self.peek() is not None

    def peek(self) -> Candidate | None:
        """The next one, which stays the next one."""
        if not self._peeked:
            found = self._drawn()
            if found is None:
                return None
            self._peeked.append(found)
        return self._peeked[0]

    def some(self, count: int) -> tuple[Candidate, ...]:
        """The next ones, up to so many, which stay the next ones."""
        while len(self._peeked) < count and (found := self._drawn()) is not None:
            self._peeked.append(found)
        return tuple(self._peeked[:count])

    def put_off(self, provider: str) -> None:
        """What is still to come of this provider comes after everybody else."""
        self._silent.add(provider)
        self._last += [c for c in self._peeked if c.provider.id == provider]
        self._peeked = [c for c in self._peeked if c.provider.id != provider]

    def take(self, candidate: Candidate) -> None:
        """One of ``some`` out of its turn."""
        self._peeked.remove(candidate)

    def _drawn(self) -> Candidate | None:
        """The next one of a provider that was not put off; of the others when none is left."""
        for candidate in self._candidates:
            if candidate.provider.id not in self._silent:
                return candidate
            self._last.append(candidate)
        return self._last.pop(0) if self._last else None
