"""What the browser loads beside the pages: found, versioned, compressed once, cached for good.

An address is ``/static/<version>/js/keys.js``. The version is a hash of the whole folder, and
stands in the path so that a module's relative imports carry it too.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import os
import re
from collections.abc import Callable
from pathlib import Path

from flask import Blueprint, Response, abort, request
from werkzeug.security import safe_join

from freellmapi.core.values import dataclass
from freellmapi.dashboard.headers import takes_gzip

FOREVER = "public, max-age=31536000, immutable"
CHECKED = "no-cache"
_VERSION = re.compile(r"[0-9a-f]{12}")
_TEXT = frozenset({".css", ".js", ".json", ".svg", ".txt", ".webmanifest"})
_TYPES = {".js": "text/javascript", ".webmanifest": "application/manifest+json"}
"""The machine's own table of types may call a script text/plain, which is not run then."""
_SMALLEST = 600
"""Bytes below which compression saves less than a packet."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A text file compressed, as it was when it had this stamp."""

    stamp: tuple[int, int]
    body: bytes


class Assets:
    """One folder of files for the browser. Compressed copies stay in memory: they are few."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.version = _hash_of(folder)
        self._packed: dict[Path, Packed] = {}

    def url(self, name: str) -> str:
        """Where the browser finds ``js/keys.js``; a new address with each release."""
        return f"/static/{self.version}/{name}"

    def find(self, path: str) -> tuple[Path | None, bool]:
        """The file behind an address below ``/static/``, and whether it may be kept for good."""
        version, _, rest = path.partition("/")
        is_versioned = bool(_VERSION.fullmatch(version))
        joined = safe_join(str(self.folder), rest if is_versioned else path)
        file = Path(joined) if joined else None
        if file is None or not file.is_file() or file.name.startswith("."):
            return None, False
        return file, is_versioned and version == self.version

    def packed(self, file: Path, off_hub: Callable[[Callable[[], bytes]], bytes]) -> bytes | None:
        """The file compressed; None when that is not worth it."""
        stat = file.stat()
        if file.suffix not in _TEXT or stat.st_size < _SMALLEST:
            return None
        stamp = (stat.st_mtime_ns, stat.st_size)
        known = self._packed.get(file)
        if known is None or known.stamp != stamp:
            body = off_hub(lambda: gzip.compress(file.read_bytes(), 9, mtime=0))
            known = self._packed[file] = Packed(stamp, body)
        return known.body


def blueprint(assets: Assets, off_hub: Callable[[Callable[[], bytes]], bytes]) -> Blueprint:
    """``/static/...``, open to all: nothing in it is secret."""
    bp = Blueprint("static", __name__)

    @bp.get("/static/<path:path>")
    def file(path: str) -> Response:
        found, for_good = assets.find(path)
        if found is None:
            abort(404)
        body = assets.packed(found, off_hub) if takes_gzip() else None
        response = Response(found.read_bytes() if body is None else body, mimetype=_type(found))
        if body is not None:
            response.content_encoding = "gzip"
        response.vary.add("Accept-Encoding")
        response.headers["Cache-Control"] = FOREVER if for_good else CHECKED
        response.add_etag()
        response.make_conditional(request)
        return response

    @bp.get("/favicon.ico")
    def favicon() -> Response:
        return file("favicon.svg")

    return bp


def _type(file: Path) -> str:
    known = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0]
    return known or "application/octet-stream"


def _hash_of(folder: Path) -> str:
    digest = hashlib.sha256()
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            file = Path(root, name)
            digest.update(file.relative_to(folder).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
