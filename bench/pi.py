"""``python -m bench.pi``: the embedded size on a machine like a small Raspberry Pi.

One core and 512 MB (a memory cgroup where one can be made, else a limit on the address
space); provider and load generator run on the other cores, outside the limit.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import sys
import tempfile
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.load import Shape, Tally, Target, load
from bench.processes import Server, wait_until_quiet
from bench.subjects import gateway, upstream

GROUPS = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max", "memory.peak"),
)
"""Of version 1 and of version 2: folder, limit, highest use."""


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.pi", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--memory", type=int, default=512, metavar="MB", help="what the gateway may use (512)")
    add("--seconds", type=float, default=20.0, help="how long it answers as fast as it can (20)")
    add("--streams", type=int, default=200, help="slow streams held at the same time (200)")
    return parser.parse_args(arguments)


def main() -> int:
    given = options()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())).resolve()
        fake = upstream(folder)
        stack.enter_context(fake.start()[0])
        subject = gateway(folder, fake.target.port, {}, "auto")
        cores = sorted(os.sched_getaffinity(0))
        with confined(given.memory * 2**20, cores[:1]) as group:
            stack.callback(group.remove)
            server, seconds = subject.start()
            stack.enter_context(server)
        os.sched_setaffinity(0, cores[1:] or cores)
        wait_until_quiet([server])
        print(f"limit                        {given.memory} MB by {group.kind}, one core")
        print(f"start to first answer        {seconds:.1f} s")
        print(f"memory, idle (PSS, all)      {server.memory_mib():.0f} MiB")
        errors = asyncio.run(loaded(subject.target, server, given))
        wait_until_quiet([server])
        print(f"memory, after it (PSS, all)  {server.memory_mib():.0f} MiB")
        if (peak := group.peak()) is not None:
            print(f"highest use, file cache too  {peak / 2**20:.0f} MiB")
    print(f"errors                       {errors}")
    return 1 if errors else 0


async def loaded(target: Target, server: Server, given: argparse.Namespace) -> int:
    """Small requests as fast as it can, then many slow streams; how many went wrong."""
    await load(target, Shape(), count=50)
    before = server.cpu_ms()
    small = await load(target, Shape(), connections=16, seconds=given.seconds)
    cpu = (server.cpu_ms() - before) / max(small.ok, 1)
    rate = small.ok / small.seconds
    print(f"small requests, 16 at a time {rate:.0f}/s, {shown(small.times)}, CPU {cpu:.1f} ms each")
    shape = Shape(tokens=50, every_ms=200)
    streams = given.streams
    held, peak = await beside(
        load(target, shape, connections=streams, count=streams, ramp=5.0), server
    )
    print(f"{streams} streams of 5 tokens/s    lag {shown(held.lags)}, {peak:.0f} MiB (PSS)")
    for error, times in (small.errors + held.errors).items():
        print(f"{times} x {error}", file=sys.stderr)
    return sum((small.errors + held.errors).values())


async def beside(job: Coroutine[Any, Any, Tally], server: Server) -> tuple[Tally, float]:
    """What the load found, and the most memory seen meanwhile."""
    task = asyncio.ensure_future(job)
    peak = 0.0
    while not task.done():
        peak = max(peak, server.memory_mib())
        await asyncio.wait([task], timeout=1.0)
    return task.result(), peak


def shown(times: Sequence[float]) -> str:
    if len(times) < 2:
        return "-"
    cuts = statistics.quantiles(times, n=100)
    return f"{cuts[49]:.1f} ms in the middle, {cuts[94]:.1f} ms for 95 of 100"


class Group:
    """Where a limit on memory is kept."""

    def __init__(self, folder: Path | None, peak_file: str = "") -> None:
        self.kind = "cgroup" if folder else "address space"
        self.folder = folder
        self._peak_file = peak_file

    def remove(self) -> None:
        """Once nobody is in it any more."""
        if self.folder is not None:
            with suppress(OSError):
                self.folder.rmdir()

    def peak(self) -> int | None:
        """Bytes; None where nobody counts them."""
        return int((self.folder / self._peak_file).read_text()) if self.folder else None


@contextmanager
def confined(limit: int, cores: Sequence[int]) -> Iterator[Group]:
    """What is started within has no more than this; we ourselves are out again at the end."""
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    group = made_group(limit)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if group.folder is None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    else:
        (group.folder / "cgroup.procs").write_text(str(os.getpid()))
    try:
        yield group
    finally:
        os.sched_setaffinity(0, everywhere)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        if group.folder is not None:
            (group.folder.parent / "cgroup.procs").write_text(str(os.getpid()))


def made_group(limit: int) -> Group:
    for root, limit_file, peak_file in GROUPS:
        folder = root / f"freellmapi-bench-{os.getpid()}"
        with suppress(OSError):
            folder.mkdir()
            (folder / limit_file).write_text(str(limit))
            return Group(folder, peak_file)
        with suppress(OSError):
            folder.rmdir()
    return Group(None)


if __name__ == "__main__":
    sys.exit(main())
