"""Processes under measurement: started, watched through /proc, ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
STOP_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Program:
    """A Python program and the whole environment it runs in."""

    arguments: Sequence[str]
    environ: Mapping[str, str]
    log: Path

    def output(self) -> str:
        """What it prints, run to its end; ``RuntimeError`` with the reason if it fails."""
        done = subprocess.run(
            [sys.executable, *self.arguments],
            env=dict(self.environ),
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(self.arguments)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def start(self) -> Server:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *self.arguments],
                env=dict(self.environ),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return Server(process, self.log)


class Server:
    """A running program with all processes it has started."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop()

    def check(self) -> None:
        """``RuntimeError`` with the end of its log when it has died."""
        if self._process.poll() is not None:
            raise RuntimeError(f"exited with {self._process.returncode}:\n{self.log_end()}")

    def log_end(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            try:
                self._process.wait(STOP_TIMEOUT)
                return
            except subprocess.TimeoutExpired:
                continue

    def cpu_ms(self) -> float:
        """User and system time so far, of ended children too."""
        return sum(map(_cpu_ticks, self._pids())) * 1000 / TICKS

    def memory_mib(self) -> float:
        """Proportional set size: what is shared counts once."""
        return sum(_kib(pid, "Pss") for pid in self._pids()) / 1024

    def own_memory_mib(self) -> float:
        """What of it is no file: not changed by others that use the same libraries."""
        return sum(_kib(pid, "Pss_Anon") for pid in self._pids()) / 1024

    def open_files(self) -> int:
        return sum(_entries(pid, "fd") for pid in self._pids())

    def threads(self) -> int:
        return sum(_entries(pid, "task") for pid in self._pids())

    def _pids(self) -> Iterator[int]:
        return _family(self._process.pid)


class Others(Server):
    """Processes that somebody else has started, and ends."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._theirs = pids

    def check(self) -> None:
        """Theirs to look after."""

    def stop(self) -> None:
        """Theirs to end."""

    def _pids(self) -> Iterator[int]:
        return (each for pid in self._theirs for each in _family(pid))


def wait_until_quiet(servers: Sequence[Server], seconds: float = 1.0) -> None:
    """Waits until the servers use next to no CPU, at most ten times ``seconds``."""
    for _ in range(10):
        before = [server.cpu_ms() for server in servers]
        time.sleep(seconds)
        after = [server.cpu_ms() for server in servers]
        if sum(after) - sum(before) < 30 * seconds:
            return


def _family(pid: int) -> Iterator[int]:
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in path.read_text().split():
                yield from _family(int(child))


def _entries(pid: int, folder: str) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/{folder}"))
    except OSError:
        return 0


def _cpu_ticks(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    # The name in brackets may hold spaces; after it, fields 12 to 15 are the times.
    return sum(map(int, stat.rpartition(")")[2].split()[11:15]))


def _kib(pid: int, what: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{what}:"))
