"""One run of the local model's server: a child process, its port, its log, its end."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from freellmapi.core.values import dataclass

LOG_LIMIT = 1_000_000
"""Bytes; the child keeps to it while it runs."""


@dataclass(slots=True)
class Child:
    """A process that was started, whatever has become of it since."""

    process: subprocess.Popen[bytes]
    port: int
    started_at: float
    """Monotonic seconds."""
    log_path: Path
    log_from: int
    """Where its lines begin in the log, which outlives it."""
    ready: bool = False
    doubted: bool = False

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def is_healthy(self) -> bool:
        """Whether it answers its health check, within a second."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1.0)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def last_words(self) -> str:
        """The last line that it wrote, or nothing."""
        try:
            with self.log_path.open("rb") as log_file:
                size = log_file.seek(0, os.SEEK_END)
                # The child may have emptied its log meanwhile.
                start = self.log_from if size >= self.log_from else 0
                log_file.seek(max(start, size - 4096))
                lines = log_file.read(4096).decode(errors="replace").split("\n")
        except OSError:
            return ""
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")

    def end(self, patience: float) -> None:
        """Stop and reap the process: the signal, so many seconds, then kill."""
        if self.alive:
            self.process.terminate()
        if self.process.stdin is not None:
            try:
                self.process.stdin.close()
            except OSError:
                # What was left in the pipe's buffer has no reader any more.
                pass
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(command: Sequence[str], port: int, log_path: Path, key: str, now: float) -> Child:
    """Start a server; ``key`` is the first line of its standard input.

    Raises ``OSError`` when the log cannot be written or the command cannot be run.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log_file:
        if log_file.tell() > LOG_LIMIT:
            log_file.seek(log_file.truncate(0))
        # Asked before the start: the child's writing moves the position that we share.
        log_from = log_file.tell()
        child = Child(_spawn(command, log_file), port, now, log_path, log_from)
    _hand_over(child.process, key)
    return child


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _spawn(command: Sequence[str], log_file: BinaryIO) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=log_file,
        stderr=subprocess.STDOUT,
        # ``-m`` finds the package from here, also when it is not installed.
        cwd=Path(__file__).parents[2],
        # Ctrl-C in the terminal is for the gateway, which may have streams to finish.
        start_new_session=True,
    )


def _hand_over(process: subprocess.Popen[bytes], key: str) -> None:
    """Send the key down the pipe, where no process list shows it; the pipe stays open."""
    assert process.stdin is not None
    try:
        process.stdin.write(key.encode() + b"\n")
        process.stdin.flush()
    except OSError:
        # Dead already; the wait for readiness finds out why.
        return
