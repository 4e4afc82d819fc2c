"""How gunicorn starts, refuses to start, and stops, with deploy/gunicorn.conf.py."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from freellmapi.command import GUNICORN, SERVER
from freellmapi.core.clock import SystemClock
from tests.e2e.plain_app import CHUNKS
from tests.e2e.server import HELLO, Server, config
from tests.fakes.provider import FakeProvider

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parent.parent.parent
CLOCK = SystemClock()
Start = Callable[..., "subprocess.Popen[str]"]
PLAIN, OURS = "tests.e2e.plain_app:app", "freellmapi.wsgi:app"


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found: int = server.getsockname()[1]
        return found


@pytest.fixture
def start(port: int, tmp_path: Path) -> Iterator[Start]:
    """Starts gunicorn with further variables; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []
    base = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "VIRTUAL_ENV")}
    base |= {
        "PORT": str(port),
        "ENCRYPTION_KEY": "ab" * 32,
        "FREELLMAPI_DATA_DIR": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }

    def start(*options: str, app: str = PLAIN, **environ: str) -> subprocess.Popen[str]:
        config = ROOT / "deploy" / "gunicorn.conf.py"
        command = [sys.executable, *GUNICORN, str(config), *options]
        process = subprocess.Popen(
            [*command, app],
            env=base | environ,
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def connected(port: int, path: str = "/") -> http.client.HTTPConnection:
    """A connection that has sent a request, as soon as the server is up."""
    for _ in range(100):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("GET", path)
            return connection
        except OSError:
            connection.close()
            CLOCK.sleep(0.1)
    raise AssertionError(f"nothing listens on {port}")


def test_a_stop_closes_idle_connections_and_lets_a_stream_end(start: Start, port: int) -> None:
    process = start()
    with closing(connected(port)) as idle, closing(connected(port, "/slow")) as busy:
        assert idle.getresponse().read() == b"ok"
        stream = busy.getresponse()
        assert stream.read(1) == b"x"
        asked = CLOCK.monotonic()
        process.send_signal(signal.SIGTERM)
        assert stream.read() == b"x" * (CHUNKS - 1)
        assert process.wait(20) == 0
        assert CLOCK.monotonic() - asked < 10


@pytest.mark.parametrize(
    ("options", "environ", "complaint"),
    [
        pytest.param((), {"ENCRYPTION_KEY": ""}, "ENCRYPTION_KEY is not set", id="no key"),
        pytest.param((), {"PORT": "x"}, "PORT is 'x'", id="no port"),
        pytest.param((), {"WEB_CONCURRENCY": "2"}, "set REDIS_URL", id="workers by variable"),
        pytest.param(("--workers=2",), {}, "need REDIS_URL", id="workers by option"),
        pytest.param((), {"DATABASE_URL": "mysql://h/d"}, "DATABASE_URL", id="database unknown"),
        pytest.param((), {"FREELLMAPI_DATA_DIR": "/dev/null/x"}, "cannot be made", id="no folder"),
    ],
)
def test_wrong_settings_are_one_sentence_and_exit_code_two(
    start: Start, options: tuple[str, ...], environ: dict[str, str], complaint: str
) -> None:
    process = start(*options, app=OURS, **environ)
    _, errors = process.communicate(timeout=60)
    said = [line for line in errors.splitlines() if line.startswith("freellmapi: ")]
    assert process.returncode == 2, errors
    assert len(said) == 1
    assert complaint in said[0]
    assert "Traceback" not in errors


def test_a_taken_port_is_refused_at_once(start: Start, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        process = start()
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert f"Port {port} on 127.0.0.1 is taken" in errors
    assert "connection to" not in errors, "gunicorn's own five tries"


def test_json_logs_are_json_from_the_first_line(start: Start, port: int) -> None:
    process = start(FREELLMAPI_LOG_FORMAT="json")
    with closing(connected(port)) as connection:
        connection.getresponse().read()
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert errors
    assert all(line.startswith('{"at": ') for line in errors.splitlines())


NOT_FOR_REQUESTS = frozenset(
    {
        *("jsonschema", "sqlalchemy.orm", "prometheus_client", "requests", "urllib3", "xllamacpp"),
        *("freellmapi.providers.gemini", "freellmapi.providers.cohere", "difflib", "flask"),
        *("freellmapi.router.explain", "freellmapi.router.quota"),
    }
)
NOT_IN_THE_MASTER = NOT_FOR_REQUESTS | {
    *("sqlalchemy", "cryptography", "gevent", "orjson", "tomllib", "freellmapi.router"),
}


def test_nobody_keeps_in_memory_what_it_has_no_use_for(tmp_path: Path) -> None:
    """What is imported stays for good; the master's is there besides each worker's own."""
    with FakeProvider() as fake:
        server = Server(tmp_path, config({"lab": fake.base_url}, probe_interval=0))
        own, server.gunicorn = server.gunicorn, tmp_path / "told.py"
        server.gunicorn.write_text(TELLING.format(config=own, folder=tmp_path))
        with server:
            server.client().chat.completions.create(model="auto", messages=HELLO)
            server.stop()
    master, worker = (set((tmp_path / who).read_text().split()) for who in ("master", "worker"))
    assert "gunicorn.arbiter" in master
    assert not master & NOT_IN_THE_MASTER
    assert {"freellmapi.app", "gevent"} <= worker
    assert not worker & NOT_FOR_REQUESTS


TELLING = """\
import sys
from pathlib import Path

exec(Path("{config}").read_text())


def tell(who):
    Path("{folder}", who).write_text(" ".join(sys.modules))


def worker_exit(server, worker):
    tell("worker")


def on_exit(server):
    tell("master")
"""


def test_all_that_a_server_loads_is_compiled_beforehand(tmp_path: Path) -> None:
    """A server that compiles something itself holds what that takes for good."""
    kept = {"PYTHONPYCACHEPREFIX": str(tmp_path / "kept")}
    environ = os.environ | kept | {"PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run(
        [sys.executable, *SERVER, "-m", "freellmapi.everything"], env=environ, check=True
    )
    with FakeProvider() as fake:
        text = config({"lab": fake.base_url}, probe_interval=0)
        server = Server(tmp_path, text, **kept, PYTHONDONTWRITEBYTECODE="1")
        own, server.gunicorn = server.gunicorn, tmp_path / "told.py"
        telling = TELLING.replace('" ".join(sys.modules)', '"\\n".join(compiled())')
        server.gunicorn.write_text(COMPILED + telling.format(config=own, folder=tmp_path))
        with server:
            server.client().chat.completions.create(model="auto", messages=HELLO)
            assert server.get("/login").status_code == 200
            server.stop()
    told = [Path(line) for who in ("master", "worker") for line in read(tmp_path / who)]
    assert len(told) > 500
    assert {path.name for path in told if not path.exists()} == {cache_of(server.gunicorn)}


def cache_of(source: Path) -> str:
    return Path(cache_from_source(str(source), optimization=2)).name


def read(path: Path) -> list[str]:
    return path.read_text().split("\n")


COMPILED = """\
def compiled():
    import sys
    return filter(None, (getattr(module, "__cached__", None) for module in sys.modules.values()))


"""
