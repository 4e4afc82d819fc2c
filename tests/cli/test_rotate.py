from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

SECRET = "gsk_" + "a1b2" * 13
OLD, NEW = "ab" * 32, "cd" * 32


@pytest.fixture
def stored(run: Run) -> None:
    assert run("keys", "add", "groq", stdin=SECRET).exit_code == 0


def exported(run: Run) -> str:
    return run("keys", "export", "--reveal").output


def test_the_file_that_holds_the_key_gets_the_new_one(
    run: Run, stored: None, environ: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "freellmapi.env"
    file.write_text(f"# mine\nPORT=1\nexport ENCRYPTION_KEY='{OLD}'\nHOST=x\n")
    file.chmod(0o640)
    done = run("rotate-encryption-key", "--env-file", str(file), "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output) == {
        "keys": 1,
        "tokens": 1,
        "unreadable": [],
        "env_file": str(file),
    }
    lines = file.read_text().splitlines()
    key = lines[2].partition("=")[2]
    assert (lines[:2], lines[3:]) == (["# mine", "PORT=1"], ["HOST=x"])
    assert len(key) == 64 and key != OLD and key not in done.output
    assert file.stat().st_mode & 0o777 == 0o640
    environ["ENCRYPTION_KEY"] = key
    assert SECRET in exported(run)
    environ["ENCRYPTION_KEY"] = OLD
    refused = run("keys", "list")
    assert refused.exit_code == 2 and "not the key" in refused.output


def test_without_a_file_the_key_is_shown_and_the_old_one_works_until_the_end(
    run: Run, stored: None, environ: dict[str, str]
) -> None:
    done = run("rotate-encryption-key", "--key-stdin", stdin=f"{NEW}\n")
    assert done.exit_code == 0 and NEW in done.output
    assert SECRET in exported(run), "a process with the old key, until the end"
    refused = run("rotate-encryption-key", "--finish")
    assert refused.exit_code == 2 and "still the old key" in refused.output
    environ["ENCRYPTION_KEY"] = NEW
    again = run("rotate-encryption-key")
    assert again.exit_code == 1 and "--finish" in again.output
    assert run("rotate-encryption-key", "--finish").exit_code == 0
    assert SECRET in exported(run)
    environ["ENCRYPTION_KEY"] = OLD
    assert run("keys", "list").exit_code == 2


@pytest.mark.parametrize(
    ("words", "stdin", "complaint"),
    [
        pytest.param(("--key-stdin",), "xyz\n", "not 64 hexadecimal", id="no key"),
        pytest.param(("--key-stdin",), f"{OLD}\n", "is the old one", id="the same key"),
        pytest.param(("--env-file", "other.env"), "", "does not hold", id="another file"),
    ],
)
def test_what_cannot_be_meant_changes_nothing(
    run: Run,
    stored: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    stdin: str,
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.env").write_text(f"ENCRYPTION_KEY={NEW}\n")
    refused = run("rotate-encryption-key", *words, stdin=stdin)
    assert refused.exit_code == 2 and complaint in refused.output, refused.output
    assert SECRET in exported(run)
