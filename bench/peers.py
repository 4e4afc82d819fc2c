"""Other gateways, which whoever measures starts and points at the fake provider."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from bench.load import Target
from bench.processes import Others, Program, Server
from bench.subjects import Subject

CHAT = "/chat/completions"
FORM = "NAME=URL,KEY,MODEL[,PID...]"


def peer(text: str) -> tuple[Subject, Server]:
    """``ValueError`` when it is not of the ``FORM``, or not on this machine."""
    name, _, rest = text.partition("=")
    url, key, model, *pids = rest.split(",")
    address = urlsplit(url)
    if address.hostname not in ("127.0.0.1", "localhost") or not address.port:
        raise ValueError(f"{url}: http://127.0.0.1:PORT/v1 is expected")
    target = Target(address.port, key, model, address.path.rstrip("/") + CHAT)
    started_elsewhere = Program((), {}, Path("/dev/null"))
    return Subject(name, started_elsewhere, target), Others([int(pid) for pid in pids])
