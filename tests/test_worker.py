from __future__ import annotations

import gc
import subprocess
import sys

import pytest
from gunicorn.config import Config

from freellmapi.core.errors import SettingsError
from freellmapi.worker import Worker


class Refusing:
    """An application that cannot be had with these settings."""

    def wsgi(self) -> None:
        raise SettingsError("There is no key.")


@pytest.mark.parametrize(
    ("age", "code"),
    [
        pytest.param(1, 2, id="the first: starting again would not help"),
        pytest.param(2, 3, id="one in another's place: it was right before"),
    ],
)
def test_a_refusal_is_one_sentence(age: int, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    worker = Worker(age, 1, [], Refusing(), 30, Config(), None)
    try:
        with pytest.raises(SystemExit) as ended:
            worker.load_wsgi()
    finally:
        worker.tmp.close()
    assert ended.value.code == code
    assert capsys.readouterr().err == "freellmapi: There is no key.\n"
    assert gc.isenabled()


CRASH = """
import gevent
from gunicorn.config import Config
from freellmapi.log import configure
from freellmapi.worker import Worker

configure()
Worker(1, 1, [], None, 30, Config(), None).patch()

def job(secret):
    raise ValueError("sent Bearer abcdefgh1234")

gevent.spawn(job, "hunter2").join()
"""


def test_a_fault_that_nobody_waits_for_is_in_the_log_without_secrets() -> None:
    done = subprocess.run([sys.executable, "-c", CRASH], capture_output=True, text=True, check=True)
    first, *trace = done.stderr.splitlines()
    assert first.endswith("ERROR freellmapi.worker failed unexpectedly in=Greenlet")
    assert trace[-1] == "  | ValueError: sent Bearer ***"
    assert "hunter2" not in done.stderr


PATCHING = """
import importlib.metadata
from gunicorn.config import Config
from freellmapi.worker import Worker

def look(**asked):
    raise SystemExit(f"looked for plugins: {asked}")

importlib.metadata.entry_points = look
Worker(1, 1, [], None, 30, Config(), None).patch()
import gevent.monkey
print(gevent.monkey.is_module_patched("time"))
"""


def test_patching_does_not_look_through_all_that_is_installed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PATCHING], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"
