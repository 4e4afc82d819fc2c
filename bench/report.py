"""The figures of a run, put together and written down."""

from __future__ import annotations

import math
import os
import platform
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from bench.goals import GOALS
from bench.measure import GATEWAY, Figures

FLOOR = "floor"


class Report:
    """Every value of every figure, by subject; rows keep the order in which they came."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._subjects: list[str] = []

    def add(self, subject: str, figures: Figures) -> None:
        if subject not in self._subjects:
            self._subjects.append(subject)
        for name, value in figures.items():
            row = self._values[name][subject]
            if not math.isnan(value):
                row.append(value)

    def markdown(self) -> str:
        """Medians, with the range when there are several values."""
        heads = ["figure", "goal", "met", *self._subjects, "ratio to the floor"]
        rows = [heads, ["---", "---", "---", *("---:" for _ in heads[3:])]]
        for name, by_subject in self._values.items():
            goal = str(GOALS.get(name, "-"))
            cells = [_cell(by_subject.get(subject, [])) for subject in self._subjects]
            rows.append([name, goal, _met(name, by_subject), *cells, _ratio(by_subject)])
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def as_json(self, errors: Mapping[str, int]) -> dict[str, Any]:
        values = {name: dict(by_subject) for name, by_subject in self._values.items()}
        goals = {name: str(goal) for name, goal in GOALS.items()}
        return {"machine": machine(), "figures": values, "goals": goals, "errors": dict(errors)}


def machine() -> dict[str, Any]:
    """What it was measured on."""
    about: dict[str, Any] = {"python": platform.python_version(), "cores": os.cpu_count()}
    about["system"] = f"{platform.system()} {platform.release()}"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return about
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return about | {"processor": names[0]} if names else about


def _cell(values: list[float]) -> str:
    if not values:
        return "-"
    text = _number(median(values))
    if min(values) != max(values):
        text += f" ({_number(min(values))}..{_number(max(values))})"
    return text


def _met(name: str, by_subject: Mapping[str, list[float]]) -> str:
    goal, values = GOALS.get(name), by_subject.get(GATEWAY)
    if goal is None or not values:
        return "-"
    floor = by_subject.get(FLOOR)
    return "yes" if goal.is_met(median(values), median(floor) if floor else None) else "no"


def _ratio(by_subject: Mapping[str, list[float]]) -> str:
    gateway, floor = (by_subject.get(subject) for subject in (GATEWAY, FLOOR))
    if not gateway or not floor or not median(floor):
        return "-"
    return f"{median(gateway) / median(floor):.2f}"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.{1 if abs(value) >= 10 else 2}f}"
