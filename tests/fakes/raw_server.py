"""A server that says exactly the bytes it is given, and a proxy in front of others.

    with RawServer(respond(b"HTTP/1.1 200 OK..."), ...) as server: ...

Connections are served one after the other, each by the next script; what was read is kept.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable

Script = Callable[[socket.socket, "RawServer"], None]


class RawServer:
    """Every accepted connection plays the next script in a thread of its own."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.seen: list[bytes] = []
        """The requests read, in order."""
        self.connections = 0
        self.let_go = threading.Event()
        """Set when the test is over: scripts that hang end then."""
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self) -> RawServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.let_go.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        self._acceptor.join(5)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self.let_go.is_set() or not self.scripts:
                sock.close()
                if self.let_go.is_set():
                    return
                continue
            self.connections += 1
            script = self.scripts.pop(0)
            thread = threading.Thread(target=self._play, args=(script, sock), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _play(self, script: Script, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            script(sock, self)

    def read_request(self, sock: socket.socket) -> bytes:
        """One request with its body; b"" when the client has gone."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += (piece := sock.recv(65536))
            if not piece:
                return b""
        head, _, body = data.partition(b"\r\n\r\n")
        stated = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        while len(body) < (int(stated[1]) if stated else 0):
            body += sock.recv(65536)
        self.seen.append(head + b"\r\n\r\n" + body)
        return self.seen[-1]


def respond(*pieces: bytes, pause: float = 0.02, then_hang: bool = False) -> Script:
    """Read a request, then send these pieces one by one; then close, or hang first."""

    def script(sock: socket.socket, server: RawServer) -> None:
        server.read_request(sock)
        for number, piece in enumerate(pieces):
            if number:
                server.let_go.wait(pause)
            sock.sendall(piece)
        if then_hang:
            server.let_go.wait(20)

    return script


def keeps_alive(*answers: bytes) -> Script:
    """Answer so many requests on one connection, then close it."""

    def script(sock: socket.socket, server: RawServer) -> None:
        for answer in answers:
            if not server.read_request(sock):
                return
            sock.sendall(answer)

    return script


def closes_on_the_second_request(answer: bytes) -> Script:
    """Answer once; read a second request and hang up without a word."""

    def script(sock: socket.socket, server: RawServer) -> None:
        server.read_request(sock)
        sock.sendall(answer)
        server.read_request(sock)

    return script


def relays() -> Script:
    """An HTTP proxy: a tunnel for CONNECT, a forwarded request for an absolute target."""

    def script(sock: socket.socket, server: RawServer) -> None:
        request = server.read_request(sock)
        target = request.split(b" ", 2)[1].decode()
        if request.startswith(b"CONNECT"):
            sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            server.let_go.wait(20)
            return
        sock.sendall(ok(f"via proxy: {target}".encode()))

    return script


def ok(body: bytes = b"{}", *headers: str) -> bytes:
    """A 200 with a stated length."""
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body
