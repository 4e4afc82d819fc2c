"""A load generator: many kept-alive connections, each with one request at a time."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import httptools

from bench.upstream import STAMP_WRAPS

TOKEN = re.compile(rb"~(\d{15})~")
TIMEOUT = 120.0
FILLER = "lorem ipsum dolor sit amet "


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked, on loopback: a gateway, the floor, or the fake provider itself."""

    port: int
    key: str
    model: str
    path: str = "/v1/chat/completions"
    tls: ssl.SSLContext | None = None

    def request(self, body: bytes) -> bytes:
        head = (
            f"POST {self.path} HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {self.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass(frozen=True, slots=True)
class Shape:
    """What each request asks for."""

    tokens: int = 0
    """Streamed ones; 0: a whole answer."""
    every_ms: int = 0
    prompt_kib: int = 0
    answer_kib: int = 0
    chain: Callable[[int], Sequence[str]] | None = None
    """The n-th request's own chain of models."""

    def body(self, model: str, number: int) -> bytes:
        """No two prompts are the same, so that nothing can be cached."""
        mark = f"[[chunks={self.tokens} every={self.every_ms}]]" if self.tokens else ""
        mark = f"[[kib={self.answer_kib}]]" if self.answer_kib else mark
        filler = FILLER * (self.prompt_kib * 1024 // len(FILLER))
        messages = [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": f"{mark} Question {number}. {filler}"},
        ]
        fields: dict[str, object] = {
            "model": model,
            "stream": bool(self.tokens),
            "messages": messages,
        }
        if self.chain is not None:
            first, *rest = self.chain(number)
            fields |= {"model": first, "models": rest}
        return json.dumps(fields | {"max_tokens": 256, "temperature": 0.7}).encode()


@dataclass(slots=True)
class Tally:
    """How a load went; all times in ms."""

    ok: int = 0
    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    """From the request to the first token."""
    lags: list[float] = field(default_factory=list)
    """From the provider's writing of a token to its arrival."""
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        self.ok += other.ok
        self.seconds += other.seconds
        self.times += other.times
        self.firsts += other.firsts
        self.lags += other.lags
        self.errors += other.errors


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._done: asyncio.Future[None] | None = None
        self.lost = False
        self._begin()

    def _begin(self) -> None:
        self.body = bytearray()
        self.arrivals: list[tuple[int, int]] = []
        """Of each token: when it was written and when it came, in ns."""
        self._seen = 0

    async def ask(self, request: bytes) -> int:
        """Sends it; the answer's status, once the answer is whole."""
        self._begin()
        self._done = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        await asyncio.wait_for(self._done, TIMEOUT)
        return self._parser.get_status_code()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not asyncio's by inheritance.
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._done is not None and not self._done.done():
            self._done.set_exception(exc or ConnectionError("closed early"))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)
        if b"~" in data:
            now = time.monotonic_ns()
            for match in TOKEN.finditer(self.body, self._seen):
                self.arrivals.append((int(match[1]), now))
                self._seen = match.end()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.lost = self.lost or not self._parser.should_keep_alive()
        if self._done is not None and not self._done.done():
            # The tokens of this last piece are counted before the waiter runs.
            self._done.set_result(None)


@dataclass(slots=True)
class _Load:
    target: Target
    shape: Shape
    tally: Tally
    numbers: itertools.count[int]

    async def one(self, client: Client | None) -> Client | None:
        """One request, counted. The connection to go on with, if it is still good."""
        try:
            if client is None:
                loop = asyncio.get_running_loop()
                made = loop.create_connection(
                    Client, "127.0.0.1", self.target.port, ssl=self.target.tls
                )
                client = (await asyncio.wait_for(made, TIMEOUT))[1]
            body = self.shape.body(self.target.model, next(self.numbers))
            request = self.target.request(body)
            began = time.monotonic_ns()
            status = await client.ask(request)
            self._count(client, status, began)
        except (OSError, asyncio.TimeoutError, httptools.HttpParserError) as exc:
            self.tally.errors[type(exc).__name__] += 1
            await asyncio.sleep(0.05)
            if client is not None:
                client.transport.abort()
            return None
        if client.lost:
            client.transport.abort()
            return None
        return client

    def _count(self, client: Client, status: int, began: int) -> None:
        ended = time.monotonic_ns()
        if fault := self._fault(client, status):
            self.tally.errors[fault] += 1
            return
        self.tally.ok += 1
        self.tally.times.append((ended - began) / 1e6)
        if client.arrivals:
            self.tally.firsts.append((client.arrivals[0][1] - began) / 1e6)
            self.tally.lags += [(came - sent) % STAMP_WRAPS / 1e6 for sent, came in client.arrivals]

    def _fault(self, client: Client, status: int) -> str | None:
        if status != 200:
            return f"status {status}: {client.body[:160].decode(errors='replace')}"
        if len(client.arrivals) != self.shape.tokens:
            return f"{len(client.arrivals)} of {self.shape.tokens} tokens"
        if self.shape.tokens:
            return None if b"[DONE]" in client.body[-64:] else "no [DONE]"
        return None if b'"choices"' in client.body else "no choices"


async def load(
    target: Target,
    shape: Shape,
    *,
    connections: int = 1,
    count: int | None = None,
    seconds: float | None = None,
    ramp: float = 0.0,
) -> Tally:
    """So many requests, or as many as fit into ``seconds``; ``ramp``: s to open all."""
    # Numbers start anywhere, so that a prompt of an earlier run does not come again.
    numbers = itertools.count(time.monotonic_ns() // 1000)
    run = _Load(target, shape, Tally(), numbers)
    began = time.monotonic()
    left = itertools.repeat(None) if count is None else iter(range(count))

    async def worker(index: int) -> None:
        await asyncio.sleep(ramp * index / connections)
        client: Client | None = None
        for _ in left:
            if seconds is not None and time.monotonic() - began >= seconds:
                break
            client = await run.one(client)
        if client is not None:
            client.transport.abort()

    await asyncio.gather(*(worker(index) for index in range(connections)))
    run.tally.seconds = time.monotonic() - began
    return run.tally
