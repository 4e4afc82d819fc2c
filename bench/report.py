"""The figures of a run, put together and written down."""

from __future__ import annotations

import math
import os
import platform
from collections import defaultdict
from collections.abc import Mapping
from statistics import median
from typing import Any

from bench.measure import Figures


class Report:
    """Every value of every figure, by subject; rows keep the order in which they came."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, subject: str, figures: Figures) -> None:
        for name, value in figures.items():
            row = self._values[name][subject]
            if not math.isnan(value):
                row.append(value)

    def markdown(self) -> str:
        """Medians, with the range when there are several values."""
        lines = ["| figure | gateway | floor | ratio |", "|---|---:|---:|---:|"]
        for name, by_subject in self._values.items():
            cells = [_cell(by_subject.get(subject, [])) for subject in ("gateway", "floor")]
            lines.append(f"| {name} | {cells[0]} | {cells[1]} | {_ratio(by_subject)} |")
        return "\n".join(lines)

    def as_json(self, errors: Mapping[str, int]) -> dict[str, Any]:
        machine = {"python": platform.python_version(), "cores": os.cpu_count()}
        values = {name: dict(by_subject) for name, by_subject in self._values.items()}
        return {"machine": machine, "figures": values, "errors": dict(errors)}


def _cell(values: list[float]) -> str:
    if not values:
        return "-"
    text = _number(median(values))
    if min(values) != max(values):
        text += f" ({_number(min(values))}..{_number(max(values))})"
    return text


def _ratio(by_subject: Mapping[str, list[float]]) -> str:
    gateway, floor = (by_subject.get(subject) for subject in ("gateway", "floor"))
    if not gateway or not floor or not median(floor):
        return "-"
    return f"{median(gateway) / median(floor):.2f}"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.{1 if abs(value) >= 10 else 2}f}"
