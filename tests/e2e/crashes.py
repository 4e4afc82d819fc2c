"""A server that is killed at random moments under load, and what must be true after each.

One database lives through all rounds. Half of the requests are streamed. A request counts as
answered once its client has read the last byte.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from freellmapi.storage.config import ConfigStore
from freellmapi.storage.db import Database
from freellmapi.storage.folding import fold
from tests.e2e.server import CLOCK, HELLO, PATIENCE, Server, config
from tests.fakes.provider import FakeProvider, later, says, streams

VICTIMS = ("worker", "master", "both")
CLIENTS = 12
THINKING = 0.01
"""Seconds that the provider takes for an answer."""
LOAD = (0.05, 1.5)
"""Seconds of load before a kill."""
DAY_CAP = 10_000_000
SET = {"max_wait": 7, "sticky_ttl": 1234}
KEPT = {
    "provider_keys": "id, provider, label, mask, sealed, fingerprint, enabled, created_at",
    "client_tokens": "id, name, digest, sealed, revoked_at",
    "settings": "name, value",
    "chain": "position, ref, enabled",
    "vault_canary": "id, sealed",
}
"""What no request changes."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one kill did."""

    victim: str
    answered: int
    """Requests that were answered, all rounds together."""
    logged: int
    called: int
    """Calls that came to the provider."""
    counted: int
    """Calls that the ledger knows of after the restart."""
    recovery: float
    """Seconds from the kill until the server answers again."""


class Crashes:
    """The server, its provider, and everything that was answered so far."""

    def __init__(self, server: Server, provider: FakeProvider, seed: int) -> None:
        self.server = server
        self._provider = provider
        self._random = random.Random(seed)
        self._answered: set[str] = set()
        self._kept = _kept(server.data)

    def round(self, victim: str) -> Round:
        """Load, a kill in the middle of it, a restart; ``AssertionError`` if anything is lost."""
        with self._load():
            CLOCK.sleep(self._random.uniform(*LOAD))
            began = CLOCK.monotonic()
            self._kill(victim)
            if victim != "worker":
                self._start_again()
            self.server.until(lambda: _lives(self.server), "it answers again", PATIENCE * 4)
            recovery = CLOCK.monotonic() - began
        return self._checked(victim, recovery)

    def _kill(self, victim: str) -> None:
        process = self.server.process
        assert process is not None
        if victim == "both":
            self.server.kill()
            return
        pid = process.pid if victim == "master" else _worker(process.pid)
        os.kill(pid, signal.SIGKILL)
        if victim == "master":
            process.wait()

    def _start_again(self) -> None:
        """As systemd does, which ends what a dead master has left behind."""
        process = self.server.process
        assert process is not None
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.server.until(lambda: not _group_lives(process.pid), "the old worker is gone")
        self.server.launch()

    def _checked(self, victim: str, recovery: float) -> Round:
        used = self.server.get("/api/quota").json()["today"]["requests_used"]
        fold_now(self.server.data)
        with closing(_reading(self.server.data)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            logged = {id for (id,) in database.execute("SELECT request_id FROM requests")}
            lost = self._answered - logged
            assert not lost, f"answered, but not in the log: {lost}"
            (spent,) = database.execute("SELECT count(*) FROM attempts WHERE spent").fetchone()
            assert used >= spent >= len(self._answered)
            _assert_sums_agree(database)
        assert _kept(self.server.data) == self._kept
        called = len(self._provider.requests)
        assert used <= called
        return Round(victim, len(self._answered), len(logged), called, used, recovery)

    @contextmanager
    def _load(self) -> Iterator[None]:
        over = threading.Event()
        with ThreadPoolExecutor(CLIENTS) as pool:
            asking = [pool.submit(self._ask_on, over, bool(n % 2)) for n in range(CLIENTS)]
            try:
                yield
            finally:
                over.set()
            for each in asking:
                each.result(PATIENCE)

    def _ask_on(self, over: threading.Event, stream: bool) -> None:
        with requests.Session() as session:
            session.headers.update(self.server.headers())
            while not over.is_set():
                try:
                    self._ask(session, stream)
                except requests.RequestException:
                    # Killed. The next one may find nobody there for a while.
                    over.wait(0.05)

    def _ask(self, session: requests.Session, stream: bool) -> None:
        asked = {"model": "auto", "messages": HELLO, "stream": stream}
        url = f"{self.server.url}/v1/chat/completions"
        with session.post(url, json=asked, stream=True, timeout=PATIENCE) as response:
            body = response.content
            if response.status_code != 200:
                return
            if not stream or body.rstrip().endswith(b"data: [DONE]"):
                self._answered.add(response.headers["X-Request-Id"])


@contextmanager
def crashes(folder: Path, seed: int) -> Iterator[Crashes]:
    """A server with a key, a setting and a chain of its owner's, ready to be killed."""
    with FakeProvider() as provider:
        provider.chooser = lambda request: later(
            THINKING, streams("one ", "two") if request.streamed else says("hi")
        )
        text = config({"lab": provider.base_url}, keys=[("lab", "a-key")], limits={"rpd": DAY_CAP})
        # What a kill does to the file is the question here, whichever database the tests run on.
        with Server(folder, text, DATABASE_URL="", REDIS_URL="") as server:
            server.cli("chain", "move", "lab/m", "1")
            database = Database.open(f"sqlite:///{server.data / 'freellmapi.db'}")
            ConfigStore(database).put_settings(SET)
            database.close()
            yield Crashes(server, provider, seed)


def fold_now(data: Path) -> None:
    """Bring the sums up to date, as a look at the figures does."""
    database = Database.open(f"sqlite:///{data / 'freellmapi.db'}")
    try:
        fold(database, CLOCK.now())
    finally:
        database.close()


def _assert_sums_agree(database: sqlite3.Connection) -> None:
    rows = "SELECT count(*), sum(status >= 400), sum(prompt_tokens) FROM requests"
    sums = "SELECT sum(requests), sum(failures), sum(prompt_tokens) FROM rollups WHERE span = 3600"
    assert database.execute(rows).fetchone() == database.execute(sums).fetchone()
    rows = "SELECT count(*), sum(spent) FROM attempts"
    sums = "SELECT sum(attempts), sum(counted) FROM rollups WHERE span = 3600"
    assert database.execute(rows).fetchone() == database.execute(sums).fetchone()
    (count,) = database.execute("SELECT count(*) FROM requests").fetchone()
    tallied = "SELECT sum(requests) FROM tallies WHERE dimension = ?"
    for dimension in ("client", "provider"):
        assert database.execute(tallied, (dimension,)).fetchone() == (count,)


def _kept(data: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(_reading(data)) as database:
        return {
            table: database.execute(f"SELECT {columns} FROM {table} ORDER BY 1").fetchall()
            for table, columns in KEPT.items()
        }


def _reading(data: Path) -> sqlite3.Connection:
    return sqlite3.connect(data / "freellmapi.db", timeout=PATIENCE)


def _worker(master: int) -> int:
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return int(children[0])


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _lives(server: Server) -> bool:
    try:
        return requests.get(f"{server.url}/readyz", timeout=PATIENCE).status_code == 200
    except requests.RequestException:
        return False
