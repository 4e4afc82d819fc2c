"""A very cheap OpenAI-compatible provider: ``python -m bench.upstream --port N``.

It never parses JSON. The prompt says what to answer: ``[[chunks=100 every=10]]`` (that
many streamed tokens, so many ms apart; 0 sends all at once) or ``[[kib=200]]`` (a whole
answer of that size). Below ``/429/N`` every call is refused for N seconds. ``GET /counts``
tells what was served. Each token carries the monotonic time, in ns, at which it was written.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import time
from collections import Counter
from typing import cast

import httptools

from bench.loop import run

MARK = re.compile(rb"\[\[([a-z]+)=(\d+)(?: every=(\d+))?\]\]")
STREAM = re.compile(rb'"stream": ?true')
EDGE = 4096
"""Bytes at either end of a body that are looked at: marker and ``stream`` stand there."""
STAMP = "~%015d~"
STAMP_WRAPS = 10**15
USAGE = {"prompt_tokens": 42, "completion_tokens": 64, "total_tokens": 106}
SENTENCE = "A gateway earns its keep by standing between and costing next to nothing. "
HEAD = {"id": "chatcmpl-bench", "created": 1_790_000_000, "model": "small"}

counts: Counter[str] = Counter()


def respond(status: str, body: bytes, extra: str = "") -> bytes:
    """A whole HTTP response."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{extra}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def completion(size: int) -> bytes:
    """An answer with a text of about ``size`` bytes."""
    text = SENTENCE * max(1, size // len(SENTENCE))
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = HEAD | {"object": "chat.completion", "choices": [choice], "usage": USAGE}
    return respond("200 OK", json.dumps(body).encode())


def frame(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(delta: dict[str, str] | None, finish: str | None = None) -> bytes:
    """A streamed chunk as one server-sent event; no delta: the chunk that carries usage."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = HEAD | {"object": "chat.completion.chunk", "choices": [choice]}
    if delta is None:
        body |= {"choices": [], "usage": USAGE}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


SMALL = completion(300)
LARGE: dict[int, bytes] = {}
ERROR = {"message": "Rate limit reached", "type": "rate_limit", "param": None, "code": None}
REFUSING = re.compile(rb"/429/(\d+)/")
MODELS = respond("200 OK", b'{"object":"list","data":[{"id":"small","object":"model"}]}')
START = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    + frame(event({"role": "assistant", "content": ""}))
)
TOKEN = frame(event({"content": " " + STAMP % 0})).replace(b"%015d" % 0, b"%015d")
END = frame(event({}, "stop")) + frame(event(None)) + frame(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def token() -> bytes:
    return TOKEN % (time.monotonic_ns() % STAMP_WRAPS)


class Connection(asyncio.Protocol):
    """One client; answers one request at a time."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._url = b""
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not asyncio's by inheritance.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            counts["aborted"] += 1

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url = url
        self._body.clear()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._parser.get_method() == b"GET":
            counted = json.dumps(counts).encode()
            self._transport.write(respond("200 OK", counted) if self._url == b"/counts" else MODELS)
            return
        counts["requests"] += 1
        if refusing := REFUSING.match(self._url):
            counts["refused"] += 1
            self._transport.write(refusal(int(refusing[1])))
            return
        body = b"".join(self._body)
        edges = body if len(body) <= 2 * EDGE else body[:EDGE] + body[-EDGE:]
        mark = MARK.search(edges)
        if STREAM.search(edges):
            self._stream(mark)
        else:
            self._transport.write(whole(int(mark[2])) if mark and mark[1] == b"kib" else SMALL)

    def _stream(self, mark: re.Match[bytes] | None) -> None:
        left = int(mark[2]) if mark else 20
        every = int(mark[3] or 0) / 1000 if mark else 0.0
        self._transport.write(START)
        if every:
            self._tick(left, every, self._loop.time())
            return
        for _ in range(left):
            self._transport.write(token())
        self._transport.write(END)

    def _tick(self, left: int, every: float, due: float) -> None:
        """Sends nothing the first time: the first token, too, comes after ``every``."""
        if self._timer is not None:
            self._transport.write(token())
            left -= 1
        if left:
            due += every
            self._timer = self._loop.call_at(due, self._tick, left, every, due)
        else:
            self._timer = None
            self._transport.write(END)


def refusal(seconds: int) -> bytes:
    body = json.dumps({"error": ERROR}).encode()
    return respond("429 Too Many Requests", body, f"Retry-After: {seconds}\r\n")


def whole(kib: int) -> bytes:
    """The answer of that size, made once."""
    if kib not in LARGE:
        LARGE[kib] = completion(kib * 1024)
    return LARGE[kib]


async def serve(port: int) -> None:
    """Answers on loopback until told to stop."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", port, backlog=4096)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="A very cheap fake provider.")
    parser.add_argument("--port", type=int, required=True)
    run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
