"""A real Redis of our own, which can be killed, emptied, and started again."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import pytest
import redis

from freellmapi.core.clock import SystemClock

CLOCK = SystemClock()
PATIENCE = 20.0


class RedisServer:
    """``redis-server`` on a socket in a folder of its own; it keeps nothing on disk."""

    def __init__(self) -> None:
        if shutil.which("redis-server") is None:
            pytest.skip("redis-server is not installed")
        # The path of a socket may have no more than about a hundred characters.
        self._folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self._socket = self._folder / "s"
        self.url = f"unix://{self._socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Up and answering, and empty."""
        self._process = subprocess.Popen(
            [
                "redis-server",
                *("--port", "0", "--unixsocket", str(self._socket)),
                *("--save", "", "--appendonly", "no", "--dir", str(self._folder)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        give_up = CLOCK.monotonic() + PATIENCE
        while True:
            try:
                self.command("PING")
                return
            except redis.ConnectionError:
                assert self._process.poll() is None, "redis-server ended"
                assert CLOCK.monotonic() < give_up, "redis-server does not answer"
                CLOCK.sleep(0.01)

    def kill(self) -> None:
        """As ``kill -9``."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def command(self, *words: str | int) -> object:
        """The reply to one command."""
        client = redis.Redis.from_url(self.url)
        try:
            found: object = client.execute_command(*words)  # type: ignore[no-untyped-call]
            return found
        finally:
            client.close()

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


def environ() -> dict[str, str]:
    """What makes a server count in Redis, if that is how this run of the tests is meant."""
    return {"REDIS_URL": running().url} if os.environ.get("FREELLMAPI_TEST_REDIS") else {}


@lru_cache(maxsize=1)
def running() -> RedisServer:
    """One that is there for all tests of this process. Use an installation name of your own."""
    server = RedisServer()
    atexit.register(server.close)
    server.start()
    return server
