"""What the loop sees of the candidates to come."""

from __future__ import annotations

from collections.abc import Iterator

from freellmapi.core.route import Candidate
from freellmapi.router.lookahead import Lookahead
from tests.router.conftest import candidate, model, provider

A, B, C = (candidate(provider(name), model(name)) for name in ("a", "b", "c"))


def test_looking_takes_nothing() -> None:
    upcoming = Lookahead([A, B, C])
    assert upcoming.peek() == A
    assert upcoming.some(2) == (A, B)
    assert upcoming.some(9) == (A, B, C)
    assert upcoming.some(1) == (A,)
    assert list(upcoming) == [A, B, C]
    assert not upcoming.has_more()


def test_no_more_is_drawn_than_was_asked_for() -> None:
    drawn: list[str] = []

    def draw() -> Iterator[Candidate]:
        for one in (A, B, C):
            drawn.append(one.provider.id)
            yield one

    upcoming = Lookahead(draw())
    upcoming.peek()
    upcoming.some(2)
    upcoming.some(2)
    assert drawn == ["a", "b"]


def test_one_may_be_taken_out_of_its_turn() -> None:
    upcoming = Lookahead([A, B, C])
    upcoming.some(3)
    upcoming.take(B)
    assert list(upcoming) == [A, C]


def test_a_silent_provider_comes_after_everybody_else() -> None:
    again = candidate(provider("a"), model("a", "other"))
    upcoming = Lookahead([A, again, B, again, C])
    assert next(upcoming) == A
    upcoming.peek()
    upcoming.put_off("a")
    assert list(upcoming) == [B, C, again, again]


def test_who_was_put_off_when_all_had_been_looked_at_still_comes() -> None:
    upcoming = Lookahead([A, B])
    upcoming.some(9)
    upcoming.put_off("a")
    assert list(upcoming) == [B, A]
