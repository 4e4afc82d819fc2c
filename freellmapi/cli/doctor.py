"""``freellmapi doctor``: what is set up well, what is not, and what to do about it."""

from __future__ import annotations

import http.client
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict

import click

from freellmapi import __version__
from freellmapi.cli.commands import Command
from freellmapi.cli.session import Session
from freellmapi.core.errors import SettingsError
from freellmapi.core.values import dataclass
from freellmapi.port import check_port
from freellmapi.providers.local import LocalModel, LocalSettings
from freellmapi.providers.outbound import of_file
from freellmapi.router.config_file import read_config
from freellmapi.settings import Settings

OK, WARN, FAIL = "ok", "warn", "fail"
_LOW_DISK_MB = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    state: str
    text: str


Check = Callable[[Session], tuple[str, str]]
"""Gives the state and a sentence; a ``SettingsError`` is a failure with its own sentence."""


@click.command(cls=Command)
@click.pass_obj
def doctor(session: Session) -> None:
    """Look over the whole set-up; exit code 1 when something must be mended."""
    findings = tuple(_findings(session))
    session.show(
        [asdict(finding) for finding in findings],
        "\n".join(f"{f.state:<5} {f.name:<15} {f.text}" for f in findings),
    )
    if any(finding.state == FAIL for finding in findings):
        click.get_current_context().exit(1)


def _findings(session: Session) -> Iterator[Finding]:
    for name, check in CHECKS.items():
        try:
            state, text = check(session)
        except SettingsError as exc:
            state, text = FAIL, str(exc)
        yield Finding(name, state, text)
        if name == "settings" and state == FAIL:
            return


def _version(_session: Session) -> tuple[str, str]:
    return OK, f"FreeLLMAPI {__version__} on Python {platform.python_version()}"


def _settings(session: Session) -> tuple[str, str]:
    settings = session.settings
    return OK, f"listen on {settings.bind}, workers {settings.workers}, data in {settings.data_dir}"


def _encryption_key(session: Session) -> tuple[str, str]:
    assert session.vault
    return OK, "fits the database"


def _data_folder(session: Session) -> tuple[str, str]:
    folder = session.settings.data_dir
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return FAIL, f"{existing} is not writable; mend its rights or set FREELLMAPI_DATA_DIR"
    free = shutil.disk_usage(existing).free // 1_000_000
    if free < _LOW_DISK_MB:
        return WARN, f"only {free} MB are left for {folder}; make room"
    return OK, f"{folder} is writable, {free:,} MB left"


def _database(session: Session) -> tuple[str, str]:
    session.database.check()
    return OK, "open, and its schema is up to date"


def _catalog(session: Session) -> tuple[str, str]:
    catalog = session.catalog
    return OK, f"{len(catalog.providers)} providers, {len(catalog.models)} models"


def _config_file(session: Session) -> tuple[str, str]:
    path = session.settings.config_file
    if path is None:
        return OK, "none (FREELLMAPI_CONFIG is not set)"
    file = read_config(path)
    problems = file.problems
    if file.network is not None:
        problems += of_file(file.network, session.settings.provider_key)[1]
    return (WARN, " ".join(problems)) if problems else (OK, str(path))


def _port(session: Session) -> tuple[str, str]:
    settings = session.settings
    if _is_ours(settings):
        return OK, f"FreeLLMAPI is running at {settings.url}"
    check_port(settings.host, settings.port)
    return OK, f"{settings.bind} is free; the server is not running"


def _local_model(session: Session) -> tuple[str, str]:
    settings = session.settings
    local = LocalModel(LocalSettings(settings.data_dir, settings.local_model), session.clock)
    missing = local.unavailable_reason()
    if missing is None:
        return OK, f"{local.model_id()} can be started"
    return (WARN if settings.local_model else OK), missing


def _keys(session: Session) -> tuple[str, str]:
    stored = session.keys.all()
    usable = [key for key in stored if key.enabled and key.status != "invalid"]
    environ = session.settings.environ
    named = [p.id for p in session.catalog.providers.values() if p.env_key(environ) is not None]
    if not usable and not named:
        return WARN, "none yet; add one with: freellmapi keys add groq"
    invalid = [str(key.id) for key in stored if key.status == "invalid"]
    text = f"{len(usable)} stored, {len(named)} from the environment"
    if invalid:
        return WARN, f"{text}; rejected by their provider: {', '.join(invalid)}"
    return OK, text


CHECKS: dict[str, Check] = {
    "version": _version,
    "settings": _settings,
    "data folder": _data_folder,
    "database": _database,
    "encryption key": _encryption_key,
    "catalog": _catalog,
    "config file": _config_file,
    "port": _port,
    "local model": _local_model,
    "keys": _keys,
}


def _is_ours(settings: Settings) -> bool:
    """Whether what listens there answers as this program does."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    connection = http.client.HTTPConnection(host, settings.port, timeout=1)
    try:
        connection.request("GET", "/v1/models/auto")
        answer = json.loads(connection.getresponse().read(100_000))
        return isinstance(answer, dict) and ("error" in answer or answer.get("id") == "auto")
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()
