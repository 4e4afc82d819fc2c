"""The socket side of the fake provider: one request read, one reply written."""

from __future__ import annotations

import fcntl
import json
import select
import socket
import struct
import termios
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

POLL = 0.01
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 429: "Too Many Requests"}


class ClientGone(Exception):
    """The client hung up (or the fake is closing) before the reply ended."""


class Hangup(Exception):
    """The reply ends the connection itself, as scripted."""


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """One request as it came; ``at`` is ``time.monotonic()`` when it was complete."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def key(self) -> str:
        """The API key it was sent with, wherever providers look for one; "" if none."""
        bearer = self.headers.get("authorization", "").partition(" ")[2]
        return bearer or self.headers.get("x-goog-api-key") or self.headers.get("x-api-key", "")

    @property
    def fields(self) -> Mapping[str, Any]:
        """The body if it is a JSON object, else an empty one."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def streamed(self) -> bool:
        return self.fields.get("stream") is True

    @property
    def model(self) -> str:
        return str(self.fields.get("model", ""))


class Connection:
    """An accepted socket with what has been read of it and not used yet."""

    def __init__(self, sock: socket.socket, closing: threading.Event) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.closing = closing
        self.chunked = False
        self.last = False
        """Whether the client asked for the connection to end with this exchange."""
        self._read = b""

    def request(self) -> SeenRequest | None:
        """The next request, or None when the client has ended the connection."""
        try:
            head = self._until(b"\r\n\r\n")
        except ClientGone:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self.last = headers.get("connection", "").lower() == "close"
        if headers.get("expect", "").lower() == "100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return SeenRequest(method, path, headers, self._body(headers), time.monotonic())

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self._exactly(int(headers.get("content-length", "0")))
        parts = []
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            parts.append(self._exactly(size))
            self._until(b"\r\n")
        while self._until(b"\r\n"):
            pass
        return b"".join(parts)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._read:
            self._fill()
        found, _, self._read = self._read.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._read) < size:
            self._fill()
        found, self._read = self._read[:size], self._read[size:]
        return found

    def _fill(self) -> None:
        try:
            data = self.sock.recv(65536)
        except OSError as exc:
            raise ClientGone from exc
        if not data:
            raise ClientGone
        self._read += data

    def head(
        self, code: int, headers: Mapping[str, str], length: int | None, chunked: bool = False
    ) -> None:
        """The status line and headers; with no length and not chunked the body ends at close."""
        lines = [f"HTTP/1.1 {code} {REASONS.get(code, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        elif chunked:
            lines.append("Transfer-Encoding: chunked")
        if self.last or (length is None and not chunked):
            lines.append("Connection: close")
        self.chunked = chunked and length is None
        self.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def body(self, data: bytes) -> None:
        """A piece of the body, framed as the head said."""
        if self.chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        self.write(data)

    def end_body(self, length_known: bool = False) -> None:
        """The end of a body of unstated length: the last chunk, or the close."""
        if self.chunked:
            self.write(b"0\r\n\r\n")
        elif not length_known:
            raise Hangup

    def write(self, data: bytes) -> None:
        if self.is_gone():
            raise ClientGone
        try:
            self.sock.sendall(data)
        except OSError as exc:
            raise ClientGone from exc

    def pause(self, seconds: float) -> None:
        """Waits; ``ClientGone`` as soon as the client hangs up."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.is_gone(within=left):
                raise ClientGone
            # Readable but alive: it sent more than one request; that must not spin.
            time.sleep(min(max(0.0, until - time.monotonic()), POLL))

    def wait_for(self, gate: threading.Event) -> None:
        """Waits until ``gate`` is set; ``ClientGone`` as soon as the client hangs up."""
        while not gate.wait(POLL):
            if self.is_gone():
                raise ClientGone

    def is_gone(self, within: float = 0.0) -> bool:
        """Whether the client has hung up, or does so ``within`` seconds."""
        poller = select.poll()
        poller.register(self.sock, select.POLLIN)
        try:
            readable = poller.poll(within * 1000)
            if self.closing.is_set():
                return True
            return bool(readable) and not self.sock.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def reset(self) -> None:
        """Ends the connection with a RST, once what was written has been delivered."""
        give_up = time.monotonic() + 1
        while self._unsent() and time.monotonic() < give_up:
            time.sleep(0.001)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Hangup

    def _unsent(self) -> int:
        raw = fcntl.ioctl(self.sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        return int(struct.unpack("i", raw)[0])
