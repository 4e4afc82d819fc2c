"""Writes of the owner's that are followed at once, not at the next look for changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from freellmapi.services import Services

T = TypeVar("T")


def in_force(parts: Services, job: Callable[[], T]) -> T:
    """Runs a write off the hub; the running server follows it at once."""

    def write() -> T:
        found = job()
        parts.configuration.refresh()
        return found

    found = parts.off_hub(write)
    parts.gateway.reconfigured()
    return found
