"""What runs here: versions, licences, the database."""

from __future__ import annotations

import platform
import re
from functools import cache
from importlib import metadata
from pathlib import Path

from freellmapi.core.values import dataclass

LIBRARIES = (
    "click",
    "cryptography",
    "Flask",
    "Flask-WTF",
    "geventhttpclient",
    "gunicorn",
    "gevent",
    "jsonschema",
    "orjson",
    "prometheus-client",
    "python-dotenv",
    "requests",
    "SQLAlchemy",
    "tzdata",
)
"""What is installed with the program; each brings what it needs itself."""
_VENDORED = re.compile(r"(\S+\.js) +(\S+) (\S+) +\S+ +(\S+) \(\S+\)")
_LONGEST_LICENCE = 40


@dataclass(frozen=True, slots=True)
class Library:
    name: str
    version: str
    licence: str


@cache
def libraries(static: Path) -> tuple[Library, ...]:
    """Those of the browser as ``vendor/VERSIONS`` names them, then those of the server."""
    notes = (static / "vendor" / "VERSIONS").read_text(encoding="utf-8")
    vendored = [Library(m[2], m[3], m[4]) for m in _VENDORED.finditer(notes)]
    return (*vendored, *(_installed(name) for name in LIBRARIES))


def python() -> str:
    return f"{platform.python_implementation()} {platform.python_version()}"


def _installed(name: str) -> Library:
    try:
        found = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return Library(name, "not installed", "")
    return Library(name, found["Version"], _licence(found))


def _licence(found: metadata.PackageMetadata) -> str:
    """As short as the package says it: the expression, the field, or a classifier."""
    for field in ("License-Expression", "License"):
        text = next(iter(found.get_all(field) or ()), "")
        if text and len(text) <= _LONGEST_LICENCE and text != "UNKNOWN":
            return text
    classifiers = found.get_all("Classifier") or []
    said = [c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License :: ")]
    return ", ".join(said)
