"""How Python is told to be a server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import cache_from_source
from pathlib import Path

import freellmapi

SERVER = ("-OO", "-X", "no_debug_ranges")
"""Python's options. A server needs neither docstrings nor assertions: 5 MiB. Nor, in its log, the
columns of a line that failed: half a MiB, where it is compiled so."""
GUNICORN = (*SERVER, "-m", "gunicorn", "--config")


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


def compile_first(elsewhere: Sequence[str]) -> None:
    """Have a process of its own compile what a server loads, if any of our own has changed.

    What compiles keeps 12 MiB for as long as it lives. ``elsewhere`` says where the result is kept.
    """
    package = Path(freellmapi.__file__).parent
    if sys.dont_write_bytecode or not (elsewhere or os.access(package, os.W_OK)):
        return
    folder = Path(elsewhere[-1].partition("=")[2]) if elsewhere else None
    if not all(_is_compiled(source, folder) for source in package.rglob("*.py")):
        sys.stderr.write("Compiling what has been installed, once: some seconds ...\n")
        # Whatever is wrong with it, the server says better itself.
        subprocess.run([sys.executable, *elsewhere, *SERVER, "-m", "freellmapi.everything"])


def _is_compiled(source: Path, folder: Path | None) -> bool:
    compiled = Path(cache_from_source(str(source), optimization=2))
    if folder is not None:
        compiled = folder.joinpath(*source.parent.parts[1:], compiled.name)
    try:
        return compiled.stat().st_mtime >= source.stat().st_mtime
    except FileNotFoundError:
        return False
