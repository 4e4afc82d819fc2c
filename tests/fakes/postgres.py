"""A private PostgreSQL for the tests: made on first use, gone when they end.

It listens on a socket in a folder of its own only. Each test gets databases of its own, which
are copies of one that has the schema. Its collation is not the order of the bytes, and its
time zone is far from UTC, as with many a server out there.
"""

from __future__ import annotations

import atexit
import glob
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from freellmapi.storage.db import Database

_TEMPLATE = "migrated"
_UNPRIVILEGED = "postgres"
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "Pacific/Auckland",
    "autovacuum": "off",
}


class Cluster:
    """One server process and its databases."""

    def __init__(self) -> None:
        if not is_installed():
            pytest.skip("PostgreSQL's programs are not installed")
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._data = self.folder / "data"
        self._made: set[str] = set()
        if os.geteuid() == 0:
            shutil.chown(self.folder, _UNPRIVILEGED)
        self._run(
            *("initdb", "--username=tester", "--auth=trust", "--encoding=UTF8", "--no-sync"),
            *("--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"),
            f"--pgdata={self._data}",
        )

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://tester@/{name}?host={quote(str(self.folder), safe='')}"

    def start(self) -> None:
        """Returns when it takes connections."""
        settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        options = " ".join(["-k", str(self.folder), *settings])
        self._run(
            *("pg_ctl", "start", "--wait", f"--pgdata={self._data}"),
            *(f"--options={options}", f"--log={self.folder / 'server.log'}"),
        )

    def stop(self) -> None:
        """As a restart of the service does: every connection is cut."""
        self._run("pg_ctl", "stop", "--wait", f"--pgdata={self._data}", "--mode=immediate")

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def make(self, name: str, template: str = _TEMPLATE) -> str:
        """The URL of the database of this name, which is made unless it is there."""
        if name not in self._made:
            self._execute(f'CREATE DATABASE "{name}" TEMPLATE {template}')
            self._made.add(name)
        return self.url(name)

    def make_template(self) -> None:
        database = Database.open(self.make(_TEMPLATE, "template0"))
        database.migrate()
        database.close()

    def made(self) -> frozenset[str]:
        return frozenset(self._made)

    def drop(self, names: frozenset[str]) -> None:
        for name in names:
            self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')
            self._made.discard(name)

    def _execute(self, statement: str) -> None:
        admin: Any = psycopg.connect(
            host=str(self.folder), user="tester", dbname="postgres", autocommit=True
        )
        with admin:
            admin.execute(statement)

    def _run(self, program: str, *options: str) -> None:
        done = subprocess.run(
            [*_command(program), *options],
            # Not a pipe: the server would keep it open.
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
        )
        assert done.returncode == 0, f"{program} failed; see {self.folder}"


def is_installed() -> bool:
    """Whether this machine has the programs of a PostgreSQL."""
    return bool(shutil.which("initdb") or glob.glob("/usr/lib/postgresql/*/bin/initdb"))


def is_asked_for() -> bool:
    """Whether this run of the tests is the one on PostgreSQL."""
    return os.environ.get("FREELLMAPI_TEST_DATABASE") == "postgresql"


@cache
def cluster() -> Cluster:
    """That of this process; it outlives a test and is removed at the end."""
    made = Cluster()
    atexit.register(made.remove)
    made.start()
    made.make_template()
    return made


def url_in(folder: Path, file: str = "t.db", template: str = _TEMPLATE) -> str:
    """The database that belongs to a folder of a test: a file in it, or one of PostgreSQL's."""
    if not is_asked_for():
        return f"sqlite:///{folder / file}"
    return private(folder / file, template)


def private(path: Path, template: str = _TEMPLATE) -> str:
    """The URL of PostgreSQL's database of this name, whichever one the tests run on."""
    name = "t_" + hashlib.sha256(str(path).encode()).hexdigest()[:24]
    return cluster().make(name, template)


def environ_in(folder: Path) -> dict[str, str]:
    """What makes a server use the database that belongs to its data folder."""
    return {"DATABASE_URL": url_in(folder, "freellmapi.db")} if is_asked_for() else {}


def _command(program: str) -> list[str]:
    found = shutil.which(program) or max(glob.glob(f"/usr/lib/postgresql/*/bin/{program}"))
    if os.geteuid() != 0:
        return [found]
    # PostgreSQL refuses to run as root.
    user = (f"--reuid={_UNPRIVILEGED}", f"--regid={_UNPRIVILEGED}", "--init-groups")
    return ["setpriv", *user, found]
