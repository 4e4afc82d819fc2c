"""Memory that was needed only while many streams were open, given back to the system."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any


def give_back() -> None:
    """Where glibc is; elsewhere there is nothing to be done.

    By itself it gives back only what lies above the last piece in use: after 3,000 streams 22 MiB
    of free memory stayed resident for good.
    """
    _trim()(0)


@cache
def _trim() -> Callable[[int], Any]:
    try:
        trim: Callable[[int], Any] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return lambda _kept: None
    return trim
