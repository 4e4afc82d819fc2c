from __future__ import annotations

import compileall
import os
import socket
import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

import freellmapi
from freellmapi.cli.serve import gunicorn_config, write_encryption_key
from freellmapi.command import SERVER, compile_first, compiled_elsewhere
from freellmapi.core.errors import SettingsError
from freellmapi.settings import Settings, load_dotenv_file
from freellmapi.storage.vault import parse_key
from tests.cli.conftest import Run


def key_in(path: Path) -> str | None:
    return Settings.from_env(load_dotenv_file({}, (path.parent,))).encryption_key


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(None, id="no file"),
        pytest.param("PORT=4000", id="no newline at the end"),
        pytest.param("ENCRYPTION_KEY=\nPORT=4000\n", id="a blank one"),
    ],
)
def test_a_key_is_written_for_its_owner_alone(tmp_path: Path, before: str | None) -> None:
    path = tmp_path / ".env"
    if before is not None:
        path.write_text(before)
        path.chmod(0o644)
    settings = Settings.from_env(load_dotenv_file({}, (tmp_path,)))
    write_encryption_key(settings, path)
    assert parse_key(key_in(path))
    assert path.stat().st_mode & 0o777 == 0o600
    if before is not None:
        assert load_dotenv_file({}, (tmp_path,))["PORT"] == "4000"


def test_a_blank_key_in_the_environment_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="set but empty"):
        write_encryption_key(Settings.from_env({"ENCRYPTION_KEY": ""}), tmp_path / ".env")
    assert not (tmp_path / ".env").exists()


def test_a_taken_port_ends_with_one_sentence(run: Run, environ: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        environ["PORT"] = str(server.getsockname()[1])
        result = run("serve")
    assert result.exit_code == 2
    assert "is taken" in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_gunicorn_configuration_is_there() -> None:
    assert gunicorn_config().name == "gunicorn.conf.py"


def test_what_is_compiled_is_kept_in_the_data_folder_where_it_must_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else Python would compile everything anew at each start."""
    (tmp_path / "__init__.py").touch()
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(freellmapi, "__file__", str(tmp_path / "__init__.py"))
    elsewhere = ("-X", f"pycache_prefix={tmp_path / 'data' / 'compiled'}")
    assert compiled_elsewhere(tmp_path / "data") == elsewhere, "the folder is not there"
    with monkeypatch.context() as patched:
        patched.setattr(sys, "dont_write_bytecode", True)
        assert compiled_elsewhere(tmp_path / "data") == (), "nothing is to be written"
    compiled = Path(cache_from_source(freellmapi.__file__, optimization=2))
    compiled.parent.mkdir()
    compiled.touch()
    compiled.parent.chmod(0o500)
    assert compiled_elsewhere(tmp_path / "data") == (), "compiled by whoever installed it"


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_the_server_is_compiled_by_another_process(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_elsewhere: bool,
) -> None:
    """Once, and again when something of it has changed; whoever waits is told why."""
    asked: list[list[str]] = []
    source = tmp_path / "package" / "__init__.py"
    source.parent.mkdir()
    source.touch()
    prefix = str(tmp_path / "kept") if is_elsewhere else None
    elsewhere = ("-X", f"pycache_prefix={prefix}") if prefix else ()
    monkeypatch.setattr(freellmapi, "__file__", str(source))
    monkeypatch.setattr(subprocess, "run", asked.append)

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    compile_first(elsewhere)
    assert not asked, "nothing is to be written"
    assert capsys.readouterr().err == ""

    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    compile_first(elsewhere)
    assert asked == [[sys.executable, *elsewhere, *SERVER, "-m", "freellmapi.everything"]]
    assert capsys.readouterr().err.startswith("Compiling what has been installed")

    with monkeypatch.context() as patched:
        patched.setattr(sys, "pycache_prefix", prefix)
        assert compileall.compile_file(source, quiet=2, optimize=2)
    compile_first(elsewhere)
    assert len(asked) == 1, "all is compiled"

    later = source.stat().st_mtime + 60
    os.utime(source, (later, later))
    compile_first(elsewhere)
    assert len(asked) == 2
