"""What an owner does to a server under load: another encryption key, backups."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import requests

from tests.e2e.server import HELLO, PATIENCE, Server, config
from tests.fakes.provider import FakeProvider

pytestmark = pytest.mark.e2e

KEY = "sk-of-alpha-0123456789"
CLIENTS = 6
TURNS = 3
EMBEDDED = {"DATABASE_URL": "", "REDIS_URL": ""}
"""Backups are for SQLite, whichever database the tests run on."""


class Traffic:
    """Clients that ask one after another until they are told to stop."""

    def __init__(self, server: Server) -> None:
        self.statuses: list[int] = []
        self._server = server
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        server, body = self._server, {"model": "auto", "messages": HELLO}
        with requests.Session() as session:
            while not self._over.is_set():
                answer = session.post(
                    f"{server.url}/v1/chat/completions",
                    json=body,
                    headers=server.headers(),
                    timeout=PATIENCE,
                )
                self.statuses.append(answer.status_code)

    def more(self, count: int = 30) -> None:
        wanted = len(self.statuses) + count
        self._server.until(lambda: len(self.statuses) >= wanted, "requests are answered")

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE)


@contextmanager
def traffic(server: Server) -> Iterator[Traffic]:
    found = Traffic(server)
    try:
        yield found
    finally:
        found.end()


def test_the_encryption_key_is_rotated_and_backups_are_taken_under_load(tmp_path: Path) -> None:
    with FakeProvider() as fake:
        text = config({"alpha": fake.base_url}, keys=[("alpha", KEY)])
        with Server(tmp_path, text, **EMBEDDED) as server:
            with traffic(server) as load:
                for turn in range(TURNS):
                    load.more()
                    reloads = server.log().count("configuration reloaded")
                    key = rotated(server)
                    server.cli("backup", str(tmp_path / f"backup{turn}.db"))
                    assert added_and_shown(server) == server.token
                    server.until(
                        lambda n=reloads: server.log().count("configuration reloaded") > n,  # type: ignore[misc]
                        "the server follows",
                    )
                    server.environ["ENCRYPTION_KEY"] = key
                    load.more()
                    server.cli("rotate-encryption-key", "--finish")
                    load.more()
            assert set(load.statuses) == {200}
            asked = [request for request in fake.requests if request.path.endswith("completions")]
            sent = {request.headers["authorization"] for request in asked}
            assert sent == {f"Bearer {KEY}"}
            assert "ERROR" not in server.log()
            answered = len(load.statuses)
            server.kill()
            server.start()
            assert len([row for row in server.rows() if row.status == 200]) == answered
            assert server.client().chat.completions.create(model="auto", messages=HELLO)
    for turn in range(TURNS):
        with closing(sqlite3.connect(tmp_path / f"backup{turn}.db")) as copy:
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            (n,) = copy.execute("SELECT count(*) FROM requests").fetchone()
            assert 0 < n <= answered


def _embedded(folder: Path, fake: FakeProvider) -> Server:
    return Server(folder, config({"alpha": fake.base_url}), **EMBEDDED)


def rotated(server: Server) -> str:
    """The new key, which the server is not told."""
    done = json.loads(server.cli("rotate-encryption-key", "--json"))
    assert (done["keys"], done["tokens"], done["unreadable"]) == (1, 1, [])
    return str(done["encryption_key"])


def added_and_shown(server: Server) -> str:
    """The unified key by a process that has only the old key still."""
    return server.cli("token", "show").strip()


def test_a_restore_brings_the_server_back_to_that_day(tmp_path: Path) -> None:
    with FakeProvider() as fake, _embedded(tmp_path, fake) as server:
        server.client().chat.completions.create(model="auto", messages=HELLO)
        server.cli("backup", str(tmp_path / "b.db"))
        server.client().chat.completions.create(model="auto", messages=HELLO)
        assert len(server.rows()) == 2
        with pytest.raises(AssertionError, match="stop the server first"):
            server.cli("restore", str(tmp_path / "b.db"))
        assert server.stop() == 0
        server.cli("restore", str(tmp_path / "b.db"))
        before = server.token
        server.start()
        assert server.token == before
        assert len(server.rows()) == 1
        server.client().chat.completions.create(model="auto", messages=HELLO)
        assert len(server.rows()) == 2
