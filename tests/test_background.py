"""Jobs beside the requests: what they say, and to whom, when one fails."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy.event import listen

from freellmapi.app import build_services
from freellmapi.background import COPY_AFTER, Background, off_hub
from freellmapi.services import Services
from freellmapi.settings import Settings
from freellmapi.storage.counters import SUMMED, current
from freellmapi.storage.db import DatabaseUnavailable
from tests.fakes import postgres
from tests.storage.rows import row


def refuses() -> None:
    raise DatabaseUnavailable("the server is starting")


def errs() -> None:
    raise KeyError("a mistake of ours")


def test_what_a_job_off_the_hub_raises_goes_to_its_caller_alone(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert off_hub(lambda: 3) == 3
    with pytest.raises(KeyError, match="a mistake of ours"):
        off_hub(errs)
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    services = services_in(tmp_path, postgres.environ_in(tmp_path))
    yield services
    services.close()


def services_in(folder: Path, environ: Mapping[str, str]) -> Services:
    given = {"ENCRYPTION_KEY": "ab" * 32, "FREELLMAPI_DATA_DIR": str(folder), **environ}
    return build_services(Settings.from_env(given))


def test_what_was_logged_is_summed_and_nothing_done_without(services: Services) -> None:
    background = Background(services)
    statements: list[str] = []

    def summed() -> int:
        background.attempt(background._sum_up)
        with services.database.connect() as connection:
            return current(connection, SUMMED)

    for n in range(1, COPY_AFTER + 2):
        services.request_log.append(row(n))
    assert summed() == COPY_AFTER + 1
    background.attempt(background._sum_up)
    listen(services.database.engine, "connect", lambda *_: statements.append("a connection"))
    background.attempt(background._sum_up)
    assert statements == []
    services.request_log.append(row(0))
    assert summed() == COPY_AFTER + 2


def test_sqlites_write_ahead_log_gives_its_place_back_once_nothing_comes(tmp_path: Path) -> None:
    services = services_in(tmp_path, {})
    background, log = Background(services), tmp_path / "freellmapi.db-wal"
    for n in range(COPY_AFTER + 1):
        services.request_log.append(row(n))
    background.attempt(background._sum_up)
    assert log.stat().st_size > 1_000_000
    background.attempt(background._sum_up)
    assert log.stat().st_size == 0
    services.request_log.append(row(COPY_AFTER + 1))
    assert len(services.request_log.recent(1_000)) == COPY_AFTER + 2
    services.close()


def test_a_database_that_is_away_is_one_line_and_a_mistake_is_a_stack(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    background = Background(services)
    caplog.clear()
    for job in (refuses, refuses, errs, errs, lambda: None):
        background.attempt(job)
    said = [(r.levelno, r.getMessage(), bool(r.exc_info)) for r in caplog.records]
    away = "background job waits for the database job=refuses: the server is starting"
    mistake = (logging.ERROR, "background job failed job=errs", True)
    assert said == [(logging.WARNING, away, False), mistake, mistake]
