from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import asdict, field, fields, replace
from dataclasses import dataclass as pythons
from pathlib import Path
from typing import Any

import pytest

import freellmapi
from freellmapi.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 0
    secret: str = field(default="", repr=False)
    seen: list[int] = field(default_factory=list, compare=False)


@pythons(frozen=True, slots=True)
class PythonsPoint:
    x: int
    y: int = 0
    secret: str = field(default="", repr=False)
    seen: list[int] = field(default_factory=list, compare=False)


@dataclass(slots=True)
class Total:
    sum: int = 0


@dataclass(eq=False, slots=True)
class Turn:
    number: int


def test_frozen_ones_are_compared_and_hashed_by_their_fields() -> None:
    assert Point(1, seen=[3]) == Point(1, 0) != Point(1, 2)
    assert {Point(1), Point(1, 0), Point(1, 2)} == {Point(1), Point(1, 2)}
    others: list[object] = [PythonsPoint(1), Total(1), 1]
    assert Point(1) not in others


def test_what_may_change_is_compared_and_has_no_hash() -> None:
    assert Total(1) == Total(1) != Total(2)
    with pytest.raises(TypeError, match="unhashable"):
        hash(Total(1))


def test_without_a_comparison_each_is_only_itself() -> None:
    one = Turn(1)
    assert one == one != Turn(1)
    assert len({one, Turn(1)}) == 2


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda cls: str(cls(1, secret="s")).removeprefix("Pythons"), id="shown"),
        pytest.param(lambda cls: asdict(replace(cls(1), y=3)), id="changed"),
        pytest.param(lambda cls: [f.name for f in fields(cls)], id="fields"),
        pytest.param(lambda cls: cls.__slots__, id="slots"),
        pytest.param(lambda cls: cls.__match_args__, id="matched"),
        pytest.param(lambda cls: cls(1).seen is cls(1).seen, id="a default of its own"),
    ],
)
def test_all_else_is_as_pythons(ask: Callable[[Any], object]) -> None:
    assert ask(Point) == ask(PythonsPoint)


def test_whoever_changes_a_frozen_one_is_told_by_mypy() -> None:
    # mypy says so itself when nothing is there to be ignored.
    Point(1).x = 2  # type: ignore[misc]


def test_all_are_made_by_this_one() -> None:
    package = Path(freellmapi.__file__).parent
    found = [
        path
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "dataclasses"
        if "dataclass" in {alias.name for alias in node.names}
    ]
    assert found == [package / "core" / "values.py"]
