"""What this process takes of the machine, as far as the system tells it."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc/self")


def taken() -> Iterator[tuple[str, float]]:
    """Names and values; memory in bytes, of all files at most ``max_fds`` may be open."""
    yield "max_fds", float(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    with suppress(OSError):
        resident = (_PROC / "statm").read_text().split()[1]
        yield "resident_memory_bytes", float(resident) * resource.getpagesize()
        yield "open_fds", float(_open_files())


def cpu_seconds() -> float:
    """Of this process since it began, in the program and in the system for it."""
    times = os.times()
    return times.user + times.system


def waited_for_processor() -> float:
    """Seconds in which the main thread could have run and had no processor; 0 where untold."""
    try:
        # Asked for ten times a second: by way of a ``Path`` it costs three times as much.
        with open("/proc/self/schedstat", "rb", buffering=0) as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def _open_files() -> int:
    # Newer systems tell the number at once; a list of ten thousand takes milliseconds.
    folder = _PROC / "fd"
    return folder.stat().st_size or len(os.listdir(folder))
