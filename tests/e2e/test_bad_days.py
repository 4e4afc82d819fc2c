"""Disks that are full or read-only, a database that somebody else holds, clocks that are set."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import requests

from tests.e2e.server import CLOCK, HELLO, Server, config
from tests.fakes import postgres
from tests.fakes.provider import FakeProvider, drips

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(postgres.is_asked_for(), reason="of SQLite's file"),
]

DAY_CAP = 15
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


@pytest.mark.parametrize("is_new", [True, False], ids=["empty", "with a database"])
def test_a_start_on_a_folder_that_is_read_only_is_refused(tmp_path: Path, is_new: bool) -> None:
    with read_only_later(tmp_path / "data") as close_it:
        server = Server(tmp_path)
        if not is_new:
            with server:
                assert server.stop() == 0
        close_it()
        said = len(server.log())
        process = server.launch()
        try:
            assert process.wait(60) == 2
        finally:
            server.kill()
        lines = [line for line in server.log()[said:].splitlines() if line.startswith("freellmapi")]
        assert len(lines) == 1
        assert "is not writable" in lines[0]


@contextmanager
def read_only_later(folder: Path) -> Iterator[Callable[[], object]]:
    """Root may write anywhere but on a disk that is mounted so."""
    if os.geteuid() == 0:
        with small_disk(folder):
            yield lambda: subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    else:
        folder.mkdir()
        try:
            yield lambda: folder.chmod(0o500)
        finally:
            folder.chmod(0o700)


def test_answers_go_out_while_the_database_is_read_only(tmp_path: Path) -> None:
    """A database that nobody may change any more, though it is open.

    But for SQLite's shared memory, which is a file as well: the system kills who writes there.
    """
    with FakeProvider() as fake, Server(tmp_path, config({"lab": fake.base_url})) as server:
        ids = {ask(server)[0]}
        if not changeable(server.data, "+i"):
            pytest.skip("only root may close files so, and not on every disk")
        try:
            while not kept(server):
                id, seconds = ask(server)
                assert seconds < BOUND
                ids.add(id)
            ids |= {ask(server)[0] for _ in range(10)}
        finally:
            changeable(server.data, "-i")
        assert_all_written(server, ids)


def changeable(folder: Path, how: str) -> bool:
    files = [folder, folder / "freellmapi.db", folder / "freellmapi.db-wal"]
    return subprocess.run(["chattr", how, *files], check=False, capture_output=True).returncode == 0


SHIFTED = """\
import time
from pathlib import Path

real, by = time.time, Path({by!r})
time.time = lambda: real() + float(by.read_text())
"""


def test_a_clock_that_is_set_costs_no_answer_and_passes_no_cap(tmp_path: Path) -> None:
    """The wall clock alone, of every process of the server; by more than any minute here."""
    by, gate = tmp_path / "by", threading.Event()
    noon = 43_200 - CLOCK.now() % 86_400
    by.write_text(str(noon))
    (tmp_path / "sitecustomize.py").write_text(SHIFTED.format(by=str(by)))
    with FakeProvider() as fake:
        text = config({"lab": fake.base_url}, limits={"rpd": DAY_CAP}, max_wait=1)
        with Server(tmp_path, text) as server:
            server.stop()
            server.environ["PYTHONPATH"] = f"{tmp_path}:{server.environ['PYTHONPATH']}"
            server.start()
            fake.script = [drips("first", "second", gate=gate)]
            with server.streaming() as response:
                pieces = response.iter_content(None)
                assert b"first" in next(pieces)
                for jump in (600, -600, 0):
                    for _ in range((DAY_CAP - 3) // 3):
                        ask(server)
                    by.write_text(str(noon + jump))
                    assert server.get("/readyz").status_code == 200
                gate.set()
                assert b"second" in b"".join(pieces)
            ids = {ask(server)[0] for _ in range(2)}
            began = CLOCK.monotonic()
            with pytest.raises(AssertionError, match="at its cap"):
                ask(server)
            assert CLOCK.monotonic() - began < BOUND
            assert len(fake.requests) == DAY_CAP
            assert_all_written(server, ids)
            assert len(server.rows()) == DAY_CAP + 1


def limit_files(server: Server, size: int) -> None:
    """How large the files of the worker may become; -1 for as large as they like."""
    assert server.process is not None
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    for pid in children.read_text().split():
        _, hard = resource.prlimit(int(pid), resource.RLIMIT_FSIZE)
        resource.prlimit(int(pid), resource.RLIMIT_FSIZE, (size, hard))
