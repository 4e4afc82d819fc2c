"""How Python is told to be a server."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import cache_from_source
from pathlib import Path

import freellmapi

GUNICORN = ("-OO", "-X", "no_debug_ranges", "-m", "gunicorn", "--config")
"""Python's options, then gunicorn's. A server needs neither docstrings nor assertions: 5 MiB.
Nor, in its log, the columns of a line that failed: half a MiB, where it is compiled so."""


def compiled_elsewhere(data_dir: Path) -> Sequence[str]:
    """Python's options to keep what it compiles in the data folder, where it must.

    What the command line runs is compiled when it is installed; without docstrings it is
    compiled when it first runs, and again at every start where that cannot be written down:
    below /usr, or on a file system that is read only.
    """
    # Whoever wants nothing written down (PYTHONDONTWRITEBYTECODE) has it nowhere.
    if sys.dont_write_bytecode or all(map(_stays_compiled, (os.__file__, freellmapi.__file__))):
        return ()
    return ("-X", f"pycache_prefix={data_dir / 'compiled'}")


def _stays_compiled(source: str) -> bool:
    compiled = Path(cache_from_source(source, optimization=2))
    return compiled.exists() or os.access(compiled.parent, os.W_OK)
