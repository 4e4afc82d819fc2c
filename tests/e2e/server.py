"""The whole program as a user runs it: gunicorn in a process, with a data folder of its own."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import openai
import requests
from openai.types.chat import ChatCompletionUserMessageParam

from freellmapi.command import GUNICORN
from freellmapi.core.clock import SystemClock
from freellmapi.storage.db import Database
from freellmapi.storage.logged import LoggedRequest
from freellmapi.storage.request_log import RequestLog
from tests.fakes import postgres, redis_server

ROOT = Path(__file__).parent.parent.parent
CLOCK = SystemClock()
ENCRYPTION_KEY = "ab" * 32
HELLO: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "Say hello."}]
PORTS = (12_000, 32_000)
PATIENCE = 30.0
"""Seconds that anything may take on a machine with other work to do."""

RUNNING: list[Server] = []
"""Servers whose log is shown when a test fails."""


class Server:
    """One FreeLLMAPI. Its database, key and configuration outlive a restart."""

    def __init__(self, folder: Path, config: str = "", **environ: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log_file = folder / "server.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config_file = folder / "freellmapi.toml"
        self.config_file.write_text(config)
        self.gunicorn = ROOT / "deploy" / "gunicorn.conf.py"
        self.environ = _bare_environment() | {
            "PORT": str(self.port),
            "ENCRYPTION_KEY": ENCRYPTION_KEY,
            "FREELLMAPI_DATA_DIR": str(self.data),
            "FREELLMAPI_CONFIG": str(self.config_file),
            **postgres.environ_in(self.data),
            **redis_server.environ(),
            **environ,
        }
        self.app: tuple[str, ...] = ()
        """Served in place of its own."""
        self.process: subprocess.Popen[bytes] | None = None
        self.token = ""

    def __enter__(self) -> Server:
        RUNNING.append(self)
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        RUNNING.remove(self)

    def launch(self) -> subprocess.Popen[bytes]:
        """The process, not waited for."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *GUNICORN, str(self.gunicorn), *self.app],
                env=self.environ,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                # A group of its own, so that the worker dies with its master.
                start_new_session=True,
            )
        return self.process

    def start(self) -> None:
        """Up and answering; ``token`` is the unified key then."""
        process = self.launch()
        self.until(lambda: process.poll() is not None or self._is_alive(), "it answers /healthz")
        assert process.poll() is None, self.log()
        self.token = self.cli("token", "show").strip()

    def kill(self) -> None:
        """As ``kill -9`` of master and worker at the same time."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self) -> int:
        """Ask it to stop, as systemd does; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE + 30)

    def worker(self) -> int:
        """The process id of the newest worker."""
        assert self.process is not None
        master = self.process.pid
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        return int(children[-1])

    def cli(self, *words: str, stdin: str = "") -> str:
        """What ``freellmapi WORDS`` prints, run beside the server."""
        done = subprocess.run(
            [sys.executable, "-c", "from freellmapi.cli import main; main()", *words],
            env=self.environ,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def client(self, timeout: float = PATIENCE) -> openai.OpenAI:
        """The official client, without retries of its own."""
        url = f"{self.url}/v1"
        return openai.OpenAI(base_url=url, api_key=self.token, max_retries=0, timeout=timeout)

    @contextmanager
    def streaming(self, **body: Any) -> Iterator[requests.Response]:
        """A streamed answer, its bytes not yet read; leaving the block closes the connection."""
        asked = {"model": "auto", "messages": HELLO, "stream": True} | body
        with requests.post(
            f"{self.url}/v1/chat/completions",
            headers=self.headers(),
            json=asked,
            stream=True,
            timeout=PATIENCE,
        ) as response:
            yield response

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, headers=self.headers(), timeout=PATIENCE)

    def rows(self) -> tuple[LoggedRequest, ...]:
        """The request log, oldest first."""
        own = f"sqlite:///{self.data / 'freellmapi.db'}"
        database = Database.open(self.environ.get("DATABASE_URL") or own)
        log = RequestLog(database, CLOCK)
        try:
            return log.recent(100_000)[::-1]
        finally:
            log.close()
            database.close()

    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    def until(self, is_so: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
        """Wait for something that comes about in another process."""
        give_up = CLOCK.monotonic() + seconds
        while not is_so():
            assert CLOCK.monotonic() < give_up, f"after {seconds} s it is not so that {what}"
            CLOCK.sleep(0.02)

    def _is_alive(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthz", timeout=PATIENCE).status_code == 200
        except requests.ConnectionError:
            return False


def config(
    providers: Mapping[str, str],
    *,
    chain: Sequence[str] = (),
    keys: Sequence[tuple[str, str]] = (),
    limits: Mapping[str, int] | None = None,
    more: str = "",
    **settings: object,
) -> str:
    """A configuration file: providers by base URL, each with one model ``m``.

    The chain is all of them in this order, unless given. Providers named in ``keys`` take
    those; the others need none. ``limits`` are the caps of every ``m``.
    """
    order = list(chain) or [f"{name}/m" for name in providers]
    keyed = {name for name, _ in keys}
    caps = ", ".join(f"{name} = {cap}" for name, cap in (limits or {}).items())
    lines = [f"chain = {json.dumps(order)}", "[settings]"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    for name, url in providers.items():
        lines += ["[[providers]]", f'id = "{name}"', f'base_url = "{url}"']
        lines += [] if name in keyed else ['key = "none"']
        lines += [f'models = [{{ id = "m", context = 100000, limits = {{ {caps} }} }}]']
    for name, key in keys:
        lines += ["[[keys]]", f'provider = "{name}"', f'key = "{key}"']
    return "\n".join([*lines, more, ""])


def free_port() -> int:
    """Below those that the system gives out, so that nothing else takes it before the server."""
    while True:
        port = random.randrange(*PORTS)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port


def _bare_environment() -> dict[str, str]:
    """Nothing of the tester's own: no keys, no proxies."""
    kept = ("PATH", "HOME", "LANG", "VIRTUAL_ENV")
    return {k: v for k, v in os.environ.items() if k in kept} | {"PYTHONPATH": str(ROOT)}
