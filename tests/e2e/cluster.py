"""Two machines of two workers each behind nginx, with one Redis and one PostgreSQL.

The machines are gunicorns with data folders of their own. nginx has the shipped
configuration, and clients know only its address.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import openai

from tests.deploy.front import Front
from tests.e2e.server import CLOCK, HELLO, PATIENCE, Server
from tests.e2e.stage import Seen, ask
from tests.fakes import postgres
from tests.fakes.redis_server import RedisServer

WORKERS = 2
LEADS, LED = "background jobs taken over", "background jobs left to another process"
MAX_TOKENS = 100
TRIES = 40
"""Enough to have asked every worker, whichever one takes a connection."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """All of it, running; each part may be killed and started again."""

    machines: tuple[Server, Server]
    front: Front
    redis: RedisServer

    def client(self, timeout: float = 60.0) -> openai.OpenAI:
        """The official client at the address of nginx."""
        trusted = ssl.create_default_context(cafile=str(self.front.certificate))
        return openai.OpenAI(
            base_url=f"{self.front.url}/v1",
            api_key=self.machines[0].token,
            max_retries=0,
            timeout=timeout,
            http_client=openai.DefaultHttpxClient(verify=trusted),
        )

    def counting(self) -> set[str]:
        """How the workers of the running machines count."""
        running = [m for m in self.machines if m.process is not None and m.process.poll() is None]
        return {m.get("/readyz").json()["counting"] for m in running for _ in range(TRIES // 4)}

    def until(self, is_so: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
        self.machines[0].until(is_so, what, seconds)

    def leaders(self) -> list[int]:
        """How many workers of each machine say that they do what is done once."""
        logs = [machine.log() for machine in self.machines]
        return [log.count(LEADS) - log.count(LED) for log in logs]


@contextmanager
def cluster(folder: Path, config: str, **environ: str) -> Iterator[Cluster]:
    """Up and counting together."""
    with ExitStack() as stack:
        redis = RedisServer()
        stack.callback(redis.close)
        redis.start()
        shared = {
            "REDIS_URL": redis.url,
            "DATABASE_URL": postgres.private(folder / "cluster"),
            "WEB_CONCURRENCY": str(WORKERS),
            "TRUSTED_PROXIES": "127.0.0.1",
        }
        first, second = (_machine(folder / name, config, shared | environ) for name in ("a", "b"))
        with ThreadPoolExecutor(2) as pool:
            for entered in [pool.submit(stack.enter_context, m) for m in (first, second)]:
                entered.result()
        front = stack.enter_context(Front(folder / "front", (first.port, second.port)))
        made = Cluster((first, second), front, redis)
        made.until(lambda: made.counting() == {"together"}, "all count together")
        yield made


def _machine(folder: Path, config: str, environ: dict[str, str]) -> Server:
    folder.mkdir(parents=True)
    return Server(folder, config, **environ)


class Load:
    """Clients that ask, rest for ``pause`` seconds and ask again until ``end``."""

    def __init__(self, cluster: Cluster, count: int, pause: float) -> None:
        self.answered: list[tuple[float, str]] = []
        """When, by the monotonic clock, and the request id, of every whole answer."""
        self.refused = 0
        self.lost: list[tuple[float, str]] = []
        """When, and what came instead of an answer or a 429."""
        self._client = cluster.client()
        self._pause = pause
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask_on, args=(n,)) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def more(self, count: int) -> None:
        """Returns when so many more are answered, which shows that the service goes on."""
        wanted, give_up = len(self.answered) + count, CLOCK.monotonic() + 2 * PATIENCE
        while len(self.answered) < wanted:
            assert CLOCK.monotonic() < give_up, f"no {count} answers; lost: {self.lost[-3:]}"
            CLOCK.sleep(0.05)

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE)
        self._client.close()

    def _ask_on(self, number: int) -> None:
        while not self._over.wait(self._pause):
            try:
                stream = number % 2 == 0
                seen = ask(self._client, "auto", stream=stream, max_tokens=MAX_TOKENS)
            except httpx2.HTTPError as error:
                # What the official client lets through when a stream is cut.
                self.lost.append((CLOCK.monotonic(), f"cut: {error!r}"))
                continue
            self._note(seen)

    def _note(self, seen: Seen) -> None:
        if seen.error is None and seen.finish == "stop":
            self.answered.append((CLOCK.monotonic(), seen.request_id))
        elif seen.status == 429 and seen.retry_after:
            self.refused += 1
        else:
            self.lost.append((CLOCK.monotonic(), f"{seen.status}: {seen.error}"))


@contextmanager
def load(cluster: Cluster, count: int, pause: float) -> Iterator[Load]:
    """The clients at work, for as long as the block takes."""
    found = Load(cluster, count, pause)
    try:
        yield found
    finally:
        found.end()


def asked_of(machine: Server) -> str:
    """Who answers a call to this machine."""
    with machine.client() as client:
        return ask(client, "auto", stream=False, messages=HELLO).via
