"""Jobs beside the requests: what they say, and to whom, when one fails."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from freellmapi.app import build_services
from freellmapi.background import Background, off_hub
from freellmapi.settings import Settings
from freellmapi.storage.db import DatabaseUnavailable
from tests.fakes import postgres


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


def test_a_database_that_is_away_is_one_line_and_a_mistake_is_a_stack(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings.from_env(
        {
            "ENCRYPTION_KEY": "ab" * 32,
            "FREELLMAPI_DATA_DIR": str(tmp_path),
            **postgres.environ_in(tmp_path),
        }
    )
    services = build_services(settings)
    background = Background(services)
    caplog.clear()
    for job in (refuses, refuses, errs, errs, lambda: None):
        background.attempt(job)
    services.close()
    said = [(r.levelno, r.getMessage(), bool(r.exc_info)) for r in caplog.records]
    away = "background job waits for the database job=refuses: the server is starting"
    mistake = (logging.ERROR, "background job failed job=errs", True)
    assert said == [(logging.WARNING, away, False), mistake, mistake]
