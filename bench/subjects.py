"""Who is measured: the gateway as it ships, and the floor under the same gunicorn."""

from __future__ import annotations

import http.client
import os
import secrets
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from bench.load import Shape, Target
from bench.processes import ROOT, Program, Server
from freellmapi import command

GUNICORN = (*command.GUNICORN, "deploy/gunicorn.conf.py")
COMMAND = ("-c", "from freellmapi.cli import main; main()")
REFUSING_MODELS = 200
"""One for each request of a run: a model that answered 429 is not asked again at once."""
START_TIMEOUT = 60.0

CONFIG = """\
chain = ["bench/small"]

[settings]
probe_interval = 0

[[providers]]
id = "bench"
base_url = "http://127.0.0.1:{port}/v1"
key = "none"
models = [{{ id = "small", context = 10000000, tools = true }}]

[[providers]]
id = "bench429"
base_url = "http://127.0.0.1:{port}/429/{wait}/v1"
key = "none"
models = [
{refusing}
]
"""


def configured(upstream_port: int, refusing: int, wait: int) -> str:
    """A configuration with so many models that refuse every call for ``wait`` seconds."""
    models = ",\n".join(f'  {{ id = "m{n}", context = 10000000 }}' for n in range(refusing))
    return CONFIG.format(port=upstream_port, refusing=models, wait=wait)


@dataclass(frozen=True, slots=True)
class Subject:
    """A program that answers chat completions on a port of its own."""

    name: str
    program: Program
    target: Target

    def start(self) -> tuple[Server, float]:
        """The server and the seconds it took from nothing to its first answer."""
        began = time.monotonic()
        server = self.program.start()
        try:
            await_answer(server, self.target)
        except BaseException:
            server.stop()
            raise
        return server, time.monotonic() - began


def await_answer(server: Server, target: Target) -> None:
    """``RuntimeError`` with the end of its log when none comes."""
    deadline = time.monotonic() + START_TIMEOUT
    while not answers(target):
        server.check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"no answer on port {target.port}:\n{server.log_end()}")
        time.sleep(0.02)


def answers(target: Target) -> bool:
    """Whether it answers a small request."""
    conn = http.client.HTTPConnection("127.0.0.1", target.port, timeout=10)
    headers = {"Authorization": f"Bearer {target.key}", "Content-Type": "application/json"}
    try:
        conn.request("POST", "/v1/chat/completions", Shape().body(target.model, 0), headers)
        return conn.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        conn.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def refusing_chain(number: int) -> tuple[str, str]:
    """A chain whose first model always answers 429, another one each time."""
    return (f"bench429/m{1 + number % REFUSING_MODELS}", "bench/small")


def always_refusing(number: int) -> tuple[str, str]:
    """A chain whose first model answers 429 whenever it is asked."""
    return ("bench429/m0", "bench/small")


def upstream(folder: Path, port: int = 0) -> Subject:
    """The fake provider, on any port or this one."""
    port = port or free_port()
    arguments = ("-m", "bench.upstream", "--port", str(port))
    program = Program(arguments, dict(os.environ), folder / "upstream.log")
    return Subject("upstream", program, Target(port, "upstream", "small"))


def gateway(
    folder: Path, upstream_port: int, changes: Mapping[str, str], model: str, app: str = ""
) -> Subject:
    """FreeLLMAPI with an empty database and the fake provider in its configuration.

    ``app`` is served in place of its own.
    """
    port = free_port()
    environ = _environ(folder / "gateway", port, upstream_port) | dict(changes)
    log = folder / "gateway.log"
    key = Program((*COMMAND, "token", "show"), environ, log).output()
    program = Program((*GUNICORN, app) if app else GUNICORN, environ, log)
    return Subject("gateway", program, Target(port, key, model))


def floor(folder: Path, upstream_port: int) -> Subject:
    port = free_port()
    key = secrets.token_hex(8)
    environ = _environ(folder / "floor", port, upstream_port)
    environ |= {"BENCH_KEY": key, "BENCH_UPSTREAM_PORT": str(upstream_port)}
    program = Program((*GUNICORN, "bench.floor:app"), environ, folder / "floor.log")
    return Subject("floor", program, Target(port, key, "auto"))


def empty(folder: Path) -> Subject:
    """A Flask view that does nothing, under the same gunicorn."""
    port = free_port()
    program = Program(
        (*GUNICORN, "bench.empty:app"), _environ(folder / "empty", port, 0), folder / "empty.log"
    )
    return Subject("empty", program, Target(port, "none", "none"))


def _environ(data: Path, port: int, upstream_port: int) -> dict[str, str]:
    """Nothing of the user's own: no keys, no database, and no way off this machine."""
    data.mkdir()
    config = data / "bench.toml"
    config.write_text(configured(upstream_port, REFUSING_MODELS + 1, wait=1))
    nowhere = "http://127.0.0.1:9"
    blank: dict[str, str] = {name: "" for name in dotenv_values(ROOT / ".env")}
    return blank | {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(data),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "ENCRYPTION_KEY": secrets.token_hex(32),
        "FREELLMAPI_DATA_DIR": str(data),
        "FREELLMAPI_CONFIG": str(config),
        "HTTP_PROXY": nowhere,
        "HTTPS_PROXY": nowhere,
    }
