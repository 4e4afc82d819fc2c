"""One visitor of the dashboard: logs in, and times what the server does for a page."""

from __future__ import annotations

import gzip
import http.client
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from statistics import median
from urllib.parse import urlencode

from bench.processes import Server

TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, its body as it came over the wire, and the time it took."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    ms: float

    @property
    def text(self) -> bytes:
        packed = self.headers.get("Content-Encoding") == "gzip"
        return gzip.decompress(self.body) if packed else self.body


@dataclass(frozen=True, slots=True)
class Timing:
    """What a page costs the server. ``cpu_ms`` is of all its processes, for one page;
    ``held_ms`` is how long another request had to wait meanwhile; sizes in bytes."""

    median_ms: float
    worst_ms: float
    cpu_ms: float
    held_ms: float
    html: int
    packed: int


class Visitor:
    """A browser's worth of HTTP: one kept-alive connection, cookies, gzip."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        self.port = port
        self.cookies: dict[str, str] = {}

    def log_in(self, name: str, password: str) -> None:
        """``RuntimeError`` when the server does not let us in."""
        found = re.search(rb'name="csrf_token" value="([^"]+)"', self.get("/login").text)
        form = {"name": name, "password": password}
        form["csrf_token"] = found[1].decode() if found else ""
        answer = self._ask("POST", "/login", urlencode(form))
        if answer.status != 302:
            raise RuntimeError(f"logging in: {answer.status}")

    def get(self, path: str) -> Answer:
        return self._ask("GET", path, None)

    def cookie_header(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def _ask(self, method: str, path: str, body: str | None) -> Answer:
        headers = {"Accept-Encoding": "gzip", "Cookie": self.cookie_header()}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        began = time.perf_counter()
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        content = response.read()
        answer = Answer(
            response.status, response.headers, content, (time.perf_counter() - began) * 1e3
        )
        for line in response.headers.get_all("Set-Cookie", []):
            self.cookies |= {name: part.value for name, part in SimpleCookie(line).items()}
        return answer


def timed(visitor: Visitor, server: Server, path: str, times: int, pause: float) -> Timing:
    """``pause``: seconds between the looks, for what the server keeps no longer than that."""
    first = visitor.get(path)
    if first.status != 200:
        raise RuntimeError(f"GET {path}: {first.status}")
    answers, busy = [], 0.0
    for _ in range(times):
        time.sleep(pause)
        before = server.cpu_ms()
        answers.append(visitor.get(path))
        busy += server.cpu_ms() - before
    held = [_held(visitor, path, pause) for _ in range(max(3, times // 3))]
    took = [answer.ms for answer in answers]
    html = first.text
    return Timing(median(took), max(took), busy / times, median(held), len(html), len(first.body))


def _held(visitor: Visitor, path: str, pause: float) -> float:
    """The longest wait for ``/healthz``, asked over and over while the page is made."""
    time.sleep(pause)
    with _asking(visitor.port) as waits:
        visitor.get(path)
    return max(waits, default=0.0)


@contextmanager
def _asking(port: int) -> Iterator[list[float]]:
    over, waits = threading.Event(), list[float]()
    connection = Visitor(port)
    connection.get("/healthz")

    def ask() -> None:
        while not over.is_set():
            waits.append(connection.get("/healthz").ms)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield waits
    finally:
        over.set()
        thread.join()
