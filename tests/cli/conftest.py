from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from freellmapi.cli import main
from freellmapi.cli.session import Session
from freellmapi.settings import Settings
from tests.fakes import postgres
from tests.fakes.clock import FrozenClock

LAB = """
[[providers]]
id = "lab"
base_url = "http://127.0.0.1:9/v1"
key = "none"
models = [
    { id = "alpha", context = 4096, tools = false, limits = { rpm = 30 } },
    { id = "beta", tools = true },
]
"""

Run = Callable[..., Result]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The variables that the commands see; a test adds to them."""
    (tmp_path / "lab.toml").write_text(LAB)
    return {
        "FREELLMAPI_DATA_DIR": str(tmp_path / "data"),
        "FREELLMAPI_CONFIG": str(tmp_path / "lab.toml"),
        "ENCRYPTION_KEY": "ab" * 32,
        **postgres.environ_in(tmp_path / "data"),
    }


@pytest.fixture
def run(environ: dict[str, str]) -> Run:
    """Runs one command line as a new process would, all of its state being on disk."""

    def run(*words: str, stdin: str = "") -> Result:
        session = Session(lambda: Settings.from_env(environ), FrozenClock())
        return CliRunner().invoke(main, words, input=stdin, obj=session)

    return run
