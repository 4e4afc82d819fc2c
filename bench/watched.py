"""The gateway, and what only its own process can count: ``GET /bench/counts``.

Served by gunicorn in place of ``freellmapi.wsgi:app``, for what watches it for long.
"""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Callable, Iterable
from typing import Any

from greenlet import greenlet

from freellmapi.wsgi import app as gateway

PATH = "/bench/counts"


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] != PATH:
        return gateway(environ, start_response)
    objects = gc.get_objects()
    counts = {
        "greenlets": sum(isinstance(each, greenlet) and not each.dead for each in objects),
        "objects": len(objects),
        "threads": threading.active_count(),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(counts).encode()]
