from __future__ import annotations

from freellmapi.core.fleeting import fleeting


@fleeting(frozen=True, slots=True)
class Point:
    x: int
    y: int = 0


def test_they_are_compared_and_hashed_by_their_fields() -> None:
    assert Point(1) == Point(1, 0) != Point(1, 2)
    assert {Point(1), Point(1, 0), Point(1, 2)} == {Point(1), Point(1, 2)}


def test_whoever_changes_one_is_told_by_mypy() -> None:
    # mypy says so itself when nothing is there to be ignored.
    Point(1).x = 2  # type: ignore[misc]
