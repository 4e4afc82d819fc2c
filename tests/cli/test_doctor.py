from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def free_port(environ: dict[str, str]) -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    environ["PORT"] = str(port)
    return port


def report(run: Run, exit_code: int = 0) -> Mapping[str, tuple[str, str]]:
    result = run("doctor", "--json")
    assert result.exit_code == exit_code, result.output
    return {f["name"]: (f["state"], f["text"]) for f in json.loads(result.output)}


def test_a_fresh_set_up_lacks_only_keys(run: Run) -> None:
    found = report(run)
    assert {name for name, (state, _) in found.items() if state != "ok"} == {"keys"}
    assert "keys add" in found["keys"][1]
    assert found["catalog"][1].endswith(" models")
    assert "not running" in found["port"][1]


def test_one_line_each(run: Run) -> None:
    lines = run("doctor").output.splitlines()
    assert len(lines) == len(report(run))
    assert all(line.split()[0] in ("ok", "warn", "fail") for line in lines)


def test_a_key_is_enough(run: Run, environ: dict[str, str]) -> None:
    environ["GROQ_API_KEY"] = "gsk_12345678"
    assert report(run)["keys"] == ("ok", "0 stored, 1 from the environment")


def test_a_port_taken_by_another_program_fails(run: Run, free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)) as server:
        server.listen(0)
        state, text = report(run, exit_code=1)["port"]
    assert state == "fail"
    assert "is taken" in text


@pytest.mark.parametrize(
    ("change", "name", "text"),
    [
        ({"PORT": "x"}, "settings", "PORT is 'x'"),
        ({"ENCRYPTION_KEY": "x"}, "encryption key", "ENCRYPTION_KEY is not 64"),
        ({"FREELLMAPI_CONFIG": "/nothing.toml"}, "config file", "/nothing.toml"),
        (
            {"FREELLMAPI_DATA_DIR": "/dev/null/x", "DATABASE_URL": ""},
            "database",
            "cannot be made",
        ),
        ({"FREELLMAPI_DATA_DIR": "/dev/null/x"}, "data folder", "/dev/null is not writable"),
    ],
)
def test_what_is_wrong_fails_with_a_remedy(
    run: Run, environ: dict[str, str], change: dict[str, str], name: str, text: str
) -> None:
    environ.update(change)
    state, said = report(run, exit_code=1)[name]
    assert state == "fail"
    assert text in said


def test_bad_entries_of_the_file_are_a_warning(
    run: Run, environ: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[[keys]]\n")
    environ["FREELLMAPI_CONFIG"] = str(path)
    assert report(run)["config file"] == ("warn", "keys[0] has no provider, a text in quotes.")


def test_a_proxy_of_the_file_that_cannot_be_used_is_a_warning(
    run: Run, environ: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[network]\nhttps_proxy = "socks5://me:hush@a"\n')
    environ["FREELLMAPI_CONFIG"] = str(path)
    state, text = report(run)["config file"]
    assert state == "warn" and "network.https_proxy" in text and "hush" not in text
    path.write_text('[network]\nhttps_proxy = "env:WAY_OUT"\n')
    environ["WAY_OUT"] = "http://proxy.lan:3128"
    assert report(run)["config file"] == ("ok", str(path))
