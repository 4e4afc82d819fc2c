"""``python -m bench.served CASE REQUESTS PORT``: a worker that serves so many requests and ends.

All in one process and one thread: gunicorn's worker, the application, and a client that only
writes and reads. The provider is elsewhere, at PORT. For what counts or profiles a process.
"""

from __future__ import annotations

# The worker patches before anything else is imported, and so must what stands in for it.
from gevent import monkey

monkey.patch_all()

# ruff: noqa: E402
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
from gunicorn.config import Config
from gunicorn.glogging import Logger

from bench import empty
from bench.load import Shape, Target
from bench.subjects import always_refusing, configured
from freellmapi.app import build_services, create_app
from freellmapi.log import log_config
from freellmapi.settings import Settings
from freellmapi.worker import Worker

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

STREAMED = b"\r\n0\r\n\r\n"
WAIT = 3_600
"""Seconds for which the refusing model asks: longer than any run."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked for, how its answer ends, and how often it is asked for uncounted."""

    shape: Shape
    end: bytes = b"}"
    warm_up: int = 20


CASES = {
    "empty": Case(Shape()),
    "small": Case(Shape()),
    "failover": Case(Shape(chain=always_refusing)),
    "large": Case(Shape(prompt_kib=1024, answer_kib=200), warm_up=5),
    "burst": Case(Shape(tokens=100), STREAMED),
    # So far apart that each chunk is read alone, slow as valgrind is.
    "paced": Case(Shape(tokens=40, every_ms=40), STREAMED, warm_up=2),
}


def gateway(folder: Path, port: int) -> tuple[WSGIApplication, str]:
    """The gateway and a token for it; nothing runs in its background."""
    config = folder / "bench.toml"
    config.write_text(configured(port, 1, WAIT))
    environ = {
        "ENCRYPTION_KEY": secrets.token_hex(32),
        "FREELLMAPI_DATA_DIR": str(folder),
        "FREELLMAPI_CONFIG": str(config),
    }
    settings = Settings.from_env(environ)
    services = build_services(settings)
    return create_app(settings, services), services.tokens.reveal()


def worker(app: WSGIApplication) -> Any:
    """gunicorn's, as it is after its start by ``deploy/gunicorn.conf.py``."""
    config = Config()
    config.set("worker_class", "freellmapi.worker.Worker")
    config.set("accesslog", None)
    config.set("forwarded_allow_ips", "")
    config.set("keepalive", 75)
    config.set("logconfig_dict", log_config())
    made = Worker(1, 1, [], None, 30, config, Logger(config))
    made.wsgi = app
    made.settle()
    return made


def ask(sock: socket.socket, request: bytes, end: bytes) -> bytes:
    """Sends it, and reads until ``end``."""
    sock.sendall(request)
    answer = b""
    while not answer.endswith(end):
        piece = sock.recv(65_536)
        if not piece:
            raise RuntimeError(answer.decode(errors="replace"))
        answer += piece
    return answer


class Client:
    """One client with one connection; its requests are made before, so as not to count."""

    def __init__(self, case: Case, token: str, made: Any) -> None:
        self._case = case
        self._target = Target(0, token, "auto")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sock = socket.create_connection(self._listener.getsockname())
        ours, address = self._listener.accept()
        # As gunicorn's listener has it, and so all that it accepts.
        ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        gevent.spawn(partial(made.handle, self._listener, ours, address))

    def requests(self, count: int) -> list[bytes]:
        shape = self._case.shape
        return [self._target.request(shape.body("auto", number)) for number in range(count)]

    def ask(self, requests: list[bytes]) -> None:
        for each in requests:
            answer = ask(self._sock, each, self._case.end)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(answer.decode(errors="replace"))


def main(name: str, count: int, port: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        app, token = (empty.app, "none") if name == "empty" else gateway(Path(folder), port)
        case = CASES[name]
        client = Client(case, token, worker(app))
        client.ask(client.requests(case.warm_up))
        requests = client.requests(count)
        instrument("on")
        client.ask(requests)
        instrument("off")


def instrument(state: str) -> None:
    """Make valgrind begin or end its count; without effect where it does not run."""
    if "valgrind" not in os.environ.get("LD_PRELOAD", ""):
        return
    control = subprocess.Popen(
        ["callgrind_control", "-i", state, str(os.getpid())], stdout=subprocess.DEVNULL
    )
    # It is heard only while something runs here.
    while control.poll() is None:
        time.sleep(0.001)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
