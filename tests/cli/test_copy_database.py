"""The whole database into another one, by the command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from freellmapi.storage.accounts import AccountStore
from freellmapi.storage.config import ChainRow, ConfigStore
from freellmapi.storage.db import Database
from freellmapi.storage.keys import KeyStore
from freellmapi.storage.request_log import RequestLog
from freellmapi.storage.rollups import DAY, Rollups
from freellmapi.storage.tokens import TokenStore
from freellmapi.storage.vault import Vault, verify
from tests.cli.conftest import Run
from tests.fakes import postgres
from tests.fakes.clock import FrozenClock
from tests.storage.rows import FAILED, NOW, ROW, row

VAULT, CLOCK = Vault(bytes.fromhex("ab" * 32)), FrozenClock()
SECRET = "gsk_" + "a1b2" * 13

pytestmark = pytest.mark.skipif(not postgres.is_installed(), reason="needs PostgreSQL's programs")


@pytest.fixture
def source(tmp_path: Path) -> Iterator[str]:
    """A SQLite that was in use: its newest key and token are gone."""
    url = f"sqlite:///{tmp_path / 'old.db'}"
    database = Database.open(url)
    database.migrate()
    verify(database, VAULT)
    keys, tokens = KeyStore(database, VAULT, CLOCK), TokenStore(database, VAULT, CLOCK)
    keys.add("groq", SECRET, "main")
    keys.remove(keys.add("groq", SECRET[::-1]).id)
    tokens.create("unified")
    AccountStore(database, VAULT, CLOCK).create("ada", "correct horse")
    config = ConfigStore(database)
    config.put_settings({"max_wait": 3})
    config.put_chain([ChainRow("groq/llama", True), ChainRow("lab/m", False)])
    log = RequestLog(database, CLOCK)
    for n in range(60):
        log.append(row(n, at=NOW + n * 3_000.0))
    log.append(FAILED)
    log.append(replace(ROW, request_id="req_nul", model="a\0b"))
    log.close()
    yield url
    database.close()


def _opened(url: str) -> Database:
    return Database.open(url)


def _figures(database: Database) -> object:
    period = (int(NOW) // DAY * DAY, int(NOW) // DAY * DAY + 4 * DAY)
    with Rollups(database).reading(NOW + 4 * DAY) as sums:
        return sums.totals(period), sums.latencies(period), sums.clients(period)


def test_all_is_there_and_works_with_the_same_key(
    run: Run, environ: dict[str, str], source: str, tmp_path: Path
) -> None:
    environ["DATABASE_URL"] = postgres.private(tmp_path / "new", "template0")
    done = run("copy-database", source)
    assert done.exit_code == 0, done.output
    old, new = _opened(source), _opened(environ["DATABASE_URL"])
    verify(new, VAULT)
    keys = KeyStore(new, VAULT, CLOCK)
    assert keys.all() == KeyStore(old, VAULT, CLOCK).all()
    assert keys.secret(keys.all()[0]) == SECRET
    assert TokenStore(new, VAULT, CLOCK).reveal() == TokenStore(old, VAULT, CLOCK).reveal()
    assert AccountStore(new, VAULT, CLOCK).checked("ada", "correct horse")
    assert ConfigStore(new).settings() == {"max_wait": 3}
    assert ConfigStore(new).chain() == ConfigStore(old).chain()
    log, copied = RequestLog(old, CLOCK).recent(100), RequestLog(new, CLOCK).recent(100)
    assert copied[0].model == "a�b"
    assert copied[1:] == log[1:]
    assert len(copied) == 62
    assert _figures(new) == _figures(old)
    # Ids of keys that are gone name them in the log: no other key gets one.
    assert keys.add("groq", "gsk_" + "z9" * 20).id == 3
    appended = RequestLog(new, CLOCK)
    appended.append(ROW)
    assert appended.recent(1)[0].id == 63
    appended.close()
    old.close()
    new.close()


def test_the_way_back_is_the_same_command(
    run: Run, environ: dict[str, str], source: str, tmp_path: Path
) -> None:
    between = environ["DATABASE_URL"] = postgres.private(tmp_path / "new", "template0")
    assert run("copy-database", source).exit_code == 0
    environ["DATABASE_URL"] = f"sqlite:///{tmp_path / 'back.db'}"
    done = run("--json", "copy-database", between)
    assert json.loads(done.output)["requests"] == 62
    back = _opened(environ["DATABASE_URL"])
    assert KeyStore(back, VAULT, CLOCK).add("groq", "gsk_" + "z9" * 20).id == 3
    back.close()


def test_what_is_there_already_is_kept_unless_it_is_to_be_replaced(
    run: Run, environ: dict[str, str], source: str, tmp_path: Path
) -> None:
    environ["DATABASE_URL"] = postgres.private(tmp_path / "new")
    assert run("token", "show").exit_code == 0
    before = _opened(environ["DATABASE_URL"])
    ConfigStore(before).put_settings({"strategy": "fast"})
    version = ConfigStore(before).version()
    done = run("copy-database", source)
    assert done.exit_code == 1
    assert "--replace" in done.output
    assert ConfigStore(before).settings() == {"strategy": "fast"}
    assert run("copy-database", "--replace", source).exit_code == 0
    assert ConfigStore(before).settings() == {"max_wait": 3}
    assert ConfigStore(before).version() > version
    before.close()


@pytest.mark.parametrize(
    ("asked", "key", "said"),
    [("sqlite:////nowhere/x.db", "ab", "no SQLite file"), ("", "cd", "not the key")],
    ids=["no source", "another key"],
)
def test_what_cannot_be_is_refused(
    run: Run, environ: dict[str, str], source: str, tmp_path: Path, asked: str, key: str, said: str
) -> None:
    environ |= {"DATABASE_URL": postgres.private(tmp_path / "new"), "ENCRYPTION_KEY": key * 32}
    done = run("copy-database", asked or source)
    assert done.exit_code == 2
    assert said in done.output


def test_a_database_is_not_copied_into_itself(
    run: Run, environ: dict[str, str], source: str
) -> None:
    environ["DATABASE_URL"] = source
    assert "itself" in run("copy-database", source).output
