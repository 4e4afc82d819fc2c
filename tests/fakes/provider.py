"""A scripted OpenAI-compatible provider on a real socket, served by plain threads.

    with FakeProvider() as alpha:
        alpha.script = [status(429, Retry_After="7"), says("hello")]
        ...
        assert alpha.requests[0].json["model"] == "m"

Replies are consumed in order, one a request; ``GET .../models`` lists ``models`` instead.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from tests.fakes.answers import Answer, Reply
from tests.fakes.caps import Caps, Gatekeeper, Served, retry_after
from tests.fakes.replies import (
    calls_tool,
    drips,
    errors_in_band,
    hangs,
    later,
    raw_body,
    resets,
    says,
    stalls,
    status,
    streams,
)
from tests.fakes.wire import ClientGone, Connection, Hangup, SeenRequest

__all__ = [
    "Caps",
    "FakeProvider",
    "Reply",
    "SeenRequest",
    "calls_tool",
    "drips",
    "errors_in_band",
    "hangs",
    "later",
    "raw_body",
    "refuses",
    "resets",
    "says",
    "stalls",
    "status",
    "streams",
]


def refuses() -> str:
    """A base URL on which nothing listens."""
    return "http://127.0.0.1:1/v1"


class FakeProvider:
    """The server; everything public may be read and set from the test's thread at any time."""

    def __init__(
        self,
        *script: Reply,
        models: Sequence[str] = ("fake-model",),
        limits: Caps | None = None,
        port: int = 0,
    ) -> None:
        self.script: list[Reply] = list(script)
        self.default: Reply = says("hello")
        self.routes: dict[str, Reply] = {}
        """Replies for a path (``/v1/models``), whatever the script says."""
        self.chooser: Callable[[SeenRequest], Reply | None] | None = None
        """Asked first; None leaves the choice to routes and script."""
        self.models: Sequence[str] = models
        self.requests: list[SeenRequest] = []
        self.closed: list[SeenRequest] = []
        """Requests whose client hung up before the reply ended."""
        self.failures: list[BaseException] = []
        """Faults of the fake itself: raised again by ``close``."""
        self.connections = 0
        self._gatekeeper = Gatekeeper(limits) if limits else None
        self._closing = threading.Event()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._live: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.port = int(self._listener.getsockname()[1])
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self._acceptor = threading.Thread(target=self._accept, name="fake-provider", daemon=True)
        self._acceptor.start()

    refused_url = staticmethod(refuses)

    def __enter__(self) -> FakeProvider:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def violations(self) -> int:
        """Calls that went over ``limits`` and got a 429 for it."""
        return self._gatekeeper.violations if self._gatekeeper else 0

    @property
    def served(self) -> Sequence[Served]:
        """Calls that ``limits`` let through, in order."""
        return tuple(self._gatekeeper.served) if self._gatekeeper else ()

    def wait_client_gone(self, timeout: float = 5.0, count: int = 1) -> bool:
        """Whether ``count`` clients hung up early, waiting up to ``timeout`` for it."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.closed) >= count, timeout)

    def wait_requests(self, count: int, timeout: float = 5.0) -> bool:
        """Whether ``count`` requests have come, waiting up to ``timeout`` for them."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.requests) >= count, timeout)

    def close(self) -> None:
        """Stops listening, cuts what is open, waits for the threads."""
        if self._closing.is_set():
            return
        self._closing.set()
        # accept() does not wake when its socket is closed elsewhere; a visitor wakes it.
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        self._acceptor.join(5)
        self._listener.close()
        with self._changed:
            for sock in self._live:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            threads = list(self._threads)
        for thread in threads:
            thread.join(5)
        if self.failures:
            raise self.failures[0]

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self._closing.is_set():
                sock.close()
                return
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            with self._changed:
                self.connections += 1
                self._live.add(sock)
                self._threads = [known for known in self._threads if known.is_alive()]
                # Started under the lock, or the next clean-up would take it for dead.
                thread.start()
                self._threads.append(thread)

    def _serve(self, sock: socket.socket) -> None:
        conn = Connection(sock, self._closing)
        try:
            while self._exchange(conn):
                pass
        except (ClientGone, Hangup):
            pass
        except Exception as exc:  # noqa: BLE001  # handed to the test by close()
            self.failures.append(exc)
        finally:
            with self._changed:
                self._live.discard(sock)
            sock.close()

    def _exchange(self, conn: Connection) -> bool:
        request = conn.request()
        if request is None:
            return False
        with self._changed:
            self.requests.append(request)
            reply = self._choose(request)
            self._changed.notify_all()
        try:
            self._admit(conn, request, reply)
        except ClientGone:
            if not self._closing.is_set():
                with self._changed:
                    self.closed.append(request)
                    self._changed.notify_all()
            raise
        return not conn.last

    def _choose(self, request: SeenRequest) -> Reply:
        path = request.path.partition("?")[0]
        chosen = self.chooser(request) if self.chooser else None
        if chosen is None and path in self.routes:
            chosen = self.routes[path]
        if chosen is None and request.method == "GET" and path.endswith("/models"):
            chosen = self._models_reply()
        if chosen is None:
            chosen = self.script.pop(0) if self.script else self.default
        return chosen

    def _models_reply(self) -> Reply:
        listed: list[dict[str, Any]] = [{"id": name, "object": "model"} for name in self.models]
        return status(200, {"object": "list", "data": listed})

    def _admit(self, conn: Connection, request: SeenRequest, reply: Reply) -> None:
        if self._gatekeeper is None or request.method != "POST":
            reply.play(conn, request)
            return
        usage = reply.usage if isinstance(reply, Answer) else None
        tokens = sum(usage) if usage else len(request.body) // 4
        wait = self._gatekeeper.enter(request.key, request.model, tokens)
        if wait is not None:
            error = {"message": "Rate limit reached", "type": "rate_limit", "code": None}
            refusal = status(429, {"error": error}, Retry_After=retry_after(wait))
            refusal.play(conn, request)
            return
        try:
            reply.play(conn, request)
        finally:
            self._gatekeeper.leave(request.key, request.model)
