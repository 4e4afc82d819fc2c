from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from freellmapi.cli import main
from freellmapi.cli.session import Session
from freellmapi.core.catalog import Catalog, Model, Provider
from freellmapi.core.limits import Limits
from freellmapi.settings import Settings
from tests.fakes.clock import FrozenClock

ALPHA = Provider(
    "alpha",
    "Alpha",
    "https://alpha.example/v1",
    env_vars=("ALPHA_API_KEY",),
    key_pattern=r"^al_[a-z0-9]{8,}$",
    key_hint="al_...",
    key_url="https://alpha.example/keys",
)
BETA = Provider("beta", "Beta", "https://beta.example/v1", key_pattern=r"^be-[a-z0-9]{8,}$")
GAMMA = Provider("gamma", "Gamma", "https://gamma.example/v1", key_fields=("account", "token"))
CATALOG = Catalog(
    (ALPHA, BETA, GAMMA),
    (
        Model("alpha", "big", "Big", "big", context=131_072, tools=True, limits=Limits(rpm=30)),
        Model("beta", "big", "Big", "big"),
        Model("beta", "small", "Small", "small", enabled=False),
    ),
)

Run = Callable[..., Result]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The variables that the commands see; a test adds to them."""
    return {"FREELLMAPI_DATA_DIR": str(tmp_path / "data"), "ENCRYPTION_KEY": "ab" * 32}


@pytest.fixture
def run(environ: dict[str, str]) -> Run:
    """Runs one command line as a new process would, all of its state being on disk."""

    def run(*words: str, stdin: str = "") -> Result:
        session = Session(
            load=lambda: Settings.from_env(environ),
            clock=FrozenClock(),
            load_catalog=lambda: CATALOG,
        )
        return CliRunner().invoke(main, words, input=stdin, obj=session)

    return run
