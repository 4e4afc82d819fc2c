"""What cannot work is refused before anything is written: one sentence, exit code 2."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.e2e.server import Server, config

pytestmark = pytest.mark.e2e


def assert_refuses(server: Server, complaint: str) -> None:
    code = server.launch().wait(30)
    said = [line for line in server.log().splitlines() if "freellmapi: " in line]
    assert code == 2, server.log()
    assert len(said) == 1, server.log()
    assert complaint in said[0]
    assert "Traceback" not in server.log()


def test_another_encryption_key_than_the_data_was_sealed_with(tmp_path: Path) -> None:
    with Server(tmp_path, config({})) as server:
        server.stop()
        before = contents(server.data)
        server.log_file.unlink()
        server.environ["ENCRYPTION_KEY"] = "cd" * 32
        assert_refuses(server, "ENCRYPTION_KEY")
        assert contents(server.data) == before
        assert "cdcdcd" not in server.log()


@pytest.mark.parametrize("key", ["", "abc", "zz" * 32])
def test_no_usable_encryption_key(tmp_path: Path, key: str) -> None:
    server = Server(tmp_path, ENCRYPTION_KEY=key)
    assert_refuses(server, "ENCRYPTION_KEY")
    assert not server.data.exists()


def test_a_broken_configuration_file(tmp_path: Path) -> None:
    server = Server(tmp_path, "chain = [")
    assert_refuses(server, "is not TOML")
    assert not server.data.exists()


def test_a_file_in_place_of_the_data_folder(tmp_path: Path) -> None:
    server = Server(tmp_path, DATABASE_URL="")
    server.data.write_text("mine")
    assert_refuses(server, str(server.data))
    assert server.data.read_text() == "mine"


def test_a_busy_port(tmp_path: Path) -> None:
    server = Server(tmp_path)
    with socket.create_server(("127.0.0.1", server.port)):
        assert_refuses(server, f"Port {server.port}")
    assert not server.data.exists()


def contents(folder: Path) -> dict[str, bytes]:
    """Files and what is in them; SQLite's own scratch files come and go."""
    return {
        str(path): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }
