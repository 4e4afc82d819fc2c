"""What the workers of one server tell each other of their counts: a file each, in memory.

Any worker may be the one that is asked for metrics. What a worker has counted outlives it,
so that a sum never goes back; what only described it ends with it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson

from freellmapi.core.clock import Clock
from freellmapi.core.counts import Numbers

log = logging.getLogger(__name__)

MEMORY = Path("/dev/shm")
FRESH = 10.0
"""Seconds after which what a worker told of its state is no longer believed."""
_GONE = "gone"
_LOCK = "lock"
_TOLD = "*.told"


class Exchange:
    """One worker's file among the others'. Nothing is made before the first ``tell``.

    ``server`` is the process id of what started the workers, the same for all of them.
    """

    def __init__(self, data_dir: Path, server: int, clock: Clock, memory: Path = MEMORY) -> None:
        self._places = (memory, data_dir)
        self._server = server
        self._clock = clock
        self._name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}.told"
        self._folder: Path | None = None

    def tell(self, numbers: Numbers) -> None:
        """Let the others know. ``OSError`` when there is no place to write it."""
        if self._folder is None:
            self._folder = self._made()
            with self._locked(self._folder):
                _bury(self._folder)
        text = f"{self._clock.monotonic():.3f}\n".encode()
        _write(self._folder / self._name, text + _dumped(numbers))

    def all(self, own: Numbers) -> tuple[Numbers, int]:
        """Those of all workers, ``own`` included, and how many are alive.

        ``own`` is told first: what was once shown is never lost with this worker.
        """
        self.tell(own)
        assert self._folder is not None
        total, living = Numbers(), 1
        total.add(own, living=True)
        with self._locked(self._folder):
            buried, names = _buried(self._folder)
            total.add(buried, living=False)
            for file in self._folder.glob(_TOLD):
                if file.name == self._name or file.name in names:
                    continue
                at, found = _read(file)
                is_alive = self._clock.monotonic() - at < FRESH and _is_running(_owner(file))
                total.add(found, living=is_alive)
                living += is_alive
        return total, living

    def _made(self) -> Path:
        """Our own folder; a stranger's of the same name is not used."""
        mine = f"freellmapi-{os.geteuid()}-{self._server}"
        for place in self._places:
            folder = place / mine
            with suppress(OSError):
                folder.mkdir(mode=0o700, exist_ok=True)
                found = folder.lstat()
                if folder.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o077:
                    continue
                _clear(place, mine)
                return folder
        raise OSError("there is no folder for the counts of several workers")

    @contextmanager
    def _locked(self, folder: Path) -> Iterator[None]:
        with (folder / _LOCK).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _clear(place: Path, mine: str) -> None:
    """Remove what servers that were killed have left."""
    prefix = mine.rpartition("-")[0]
    for folder in place.glob(f"{prefix}-*"):
        server = folder.name.rpartition("-")[2]
        if folder.name != mine and server.isdigit() and not _is_running(int(server)):
            shutil.rmtree(folder, ignore_errors=True)


def _bury(folder: Path) -> None:
    """Put what dead workers have counted into one file."""
    total, names = _buried(folder)
    dead = [f for f in folder.glob(_TOLD) if not _is_running(_owner(f))]
    for file in dead:
        if file.name not in names:
            total.add(_read(file)[1], living=False)
    if dead:
        head = orjson.dumps([file.name for file in dead])
        _write(folder / _GONE, head + b"\n" + _dumped(total))
    for file in dead:
        file.unlink(missing_ok=True)


def _buried(folder: Path) -> tuple[Numbers, frozenset[str]]:
    """The sums of the dead, and names of files that are in it even if they are there still."""
    try:
        head, _, rest = (folder / _GONE).read_bytes().partition(b"\n")
        return _loaded(rest), frozenset(orjson.loads(head))
    except (OSError, ValueError):
        return Numbers(), frozenset()


def _read(file: Path) -> tuple[float, Numbers]:
    """When it was told (monotonic seconds), and what."""
    try:
        at, _, rest = file.read_bytes().partition(b"\n")
        return float(at), _loaded(rest)
    except (OSError, ValueError) as exc:
        log.warning("counts of another worker not read file=%s: %s", file.name, exc)
        return 0.0, Numbers()


def _write(file: Path, data: bytes) -> None:
    """Whole or not at all."""
    part = file.with_suffix(".part")
    part.write_bytes(data)
    part.replace(file)


def _owner(file: Path) -> int:
    return int(file.name.partition("-")[0])


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _dumped(numbers: Numbers) -> bytes:
    parts = (numbers.counters, numbers.histograms, numbers.gauges, numbers.highest)
    return orjson.dumps([list(part.items()) for part in parts])


def _loaded(data: bytes) -> Numbers:
    """The reverse; ``ValueError`` for anything else."""
    try:
        return Numbers(*({tuple(k): value for k, value in part} for part in orjson.loads(data)))
    except TypeError as exc:
        raise ValueError("these are no numbers") from exc
