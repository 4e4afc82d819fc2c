"""TOML: texts of the owner's, and files of our own that are kept as Python keeps its modules.

To parse the catalog's 27 files took 18 ms of each start. Python's loader sees to the rest: it
reads a file anew that has changed, and writes nothing where it must not, or cannot.
"""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any


def parse_toml(text: str) -> dict[str, Any]:
    """``ValueError`` says where it is no TOML."""
    # 0.2 MiB that a server does without whose own files are kept, and which has no other.
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def read_kept(path: Path) -> dict[str, Any]:
    """What stands in a file that comes with the program; ``ValueError`` when it is no TOML."""
    module = ModuleType(path.stem)
    _Loader(path.stem, str(path)).exec_module(module)
    found: dict[str, Any] = module.found
    return found


class _Loader(SourceFileLoader):
    """The file as a module with one name in it."""

    def source_to_code(self, data: Any, path: Any) -> CodeType:  # type: ignore[override]
        try:
            found = parse_toml(data.decode())
        except ValueError as exc:
            raise ValueError(f"{Path(path).name}: not TOML: {exc}") from exc
        # A date is written as ``datetime.date(2026, 11, 22)``.
        names = "import datetime\nfrom math import inf, nan\n"
        return compile(f"{names}{found = }", path, "exec", dont_inherit=True)
