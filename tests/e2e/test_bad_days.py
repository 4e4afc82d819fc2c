"""Disks that are full or read-only, and a database that somebody else holds."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import requests

from tests.e2e.server import CLOCK, HELLO, Server, config
from tests.fakes import postgres
from tests.fakes.provider import FakeProvider

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(postgres.is_asked_for(), reason="of SQLite's file"),
]

DISK = 4 * 1024 * 1024
BOUND = 15.0
"""Seconds for an answer whose row nobody takes: 5 of patience twice, and a busy machine's."""


def ask(server: Server) -> tuple[str, float]:
    """The id of an answer, and how many seconds it took."""
    began = CLOCK.monotonic()
    response = requests.post(
        f"{server.url}/v1/chat/completions",
        headers=server.headers(),
        json={"model": "auto", "messages": HELLO},
        timeout=60,
    )
    assert response.status_code == 200, response.text
    return response.headers["X-Request-Id"], CLOCK.monotonic() - began


def kept(server: Server) -> bool:
    ready = server.get("/readyz")
    return ready.status_code == 200 and "rows wait in memory" in ready.json().get("log", "")


def assert_all_written(server: Server, ids: set[str]) -> None:
    server.until(lambda: not kept(server), "the log is written again")
    with closing(sqlite3.connect(server.data / "freellmapi.db")) as database:
        written = [id for (id,) in database.execute("SELECT request_id FROM requests")]
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(written) == len(set(written))
    assert ids <= set(written)


def test_answers_go_out_while_another_process_holds_the_database(tmp_path: Path) -> None:
    with FakeProvider() as fake, Server(tmp_path, config({"lab": fake.base_url})) as server:
        ids = {ask(server)[0]}
        with closing(sqlite3.connect(server.data / "freellmapi.db", isolation_level=None)) as held:
            held.execute("BEGIN IMMEDIATE")
            first, seconds = ask(server)
            assert seconds < BOUND
            assert kept(server)
            until = CLOCK.monotonic() + 30 - seconds
            while CLOCK.monotonic() < until:
                id, seconds = ask(server)
                assert seconds < BOUND / 3, "nobody waits for a database known to be held"
                ids.add(id)
                CLOCK.sleep(1)
            held.execute("ROLLBACK")
        assert_all_written(server, {*ids, first})


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Until nothing more fits."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65_536, 512, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount; the limit below needs no root")
def test_answers_go_out_while_the_disk_is_full(tmp_path: Path) -> None:
    with (
        FakeProvider() as fake,
        small_disk(tmp_path / "data") as disk,
        Server(tmp_path, config({"lab": fake.base_url})) as server,
    ):
        ids = {ask(server)[0] for _ in range(5)}
        filler = fill(disk)
        while not kept(server):
            id, seconds = ask(server)
            assert seconds < BOUND
            ids.add(id)
        ids |= {ask(server)[0] for _ in range(20)}
        metrics = requests.get(f"{server.url}/metrics", timeout=30).text
        assert "freellmapi_log_kept 0.0" not in metrics
        filler.unlink()
        assert_all_written(server, ids)


def test_answers_go_out_while_no_file_may_grow(tmp_path: Path) -> None:
    """What a quota does: every write fails, as on a disk that went read-only."""
    with FakeProvider() as fake, Server(tmp_path, config({"lab": fake.base_url})) as server:
        ids = {ask(server)[0]}
        limit_files(server, 1)
        ids |= {ask(server)[0] for _ in range(5)}
        assert kept(server)
        limit_files(server, -1)
        assert_all_written(server, ids)


def limit_files(server: Server, size: int) -> None:
    """How large the files of the worker may become; -1 for as large as they like."""
    assert server.process is not None
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    for pid in children.read_text().split():
        _, hard = resource.prlimit(int(pid), resource.RLIMIT_FSIZE)
        resource.prlimit(int(pid), resource.RLIMIT_FSIZE, (size, hard))
