"""Starts the fake local model for 20 callers at once, says where it is, and waits.

Run as a script: ``local_parent.py gevent|threads DATA_DIR STARTS_FILE``.
"""

from __future__ import annotations

import sys

if sys.argv[1] == "gevent":
    from gevent import monkey

    monkey.patch_all()

import json
from pathlib import Path
from threading import Event, Thread

from freellmapi.core.clock import SystemClock
from freellmapi.providers.local import LocalModel, LocalSettings


def main() -> None:
    data_dir, starts = Path(sys.argv[2]), sys.argv[3]
    fake = str(Path(__file__).with_name("local_child.py"))
    model = LocalModel(
        LocalSettings(data_dir),
        SystemClock(),
        command=(sys.executable, fake, "--starts", starts),
        installed=lambda module: True,
    )
    urls: list[str] = []
    ticks = Ticker()
    callers = [Thread(target=lambda: urls.append(model.base_url())) for _ in range(20)]
    ticks.start()
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    sys.stdout.write(json.dumps({"urls": urls, "longest_pause": ticks.stop()}) + "\n")
    sys.stdout.flush()
    if sys.stdin.readline().strip() == "stop":
        model.stop()


class Ticker(Thread):
    """Measures the longest time, in seconds, that other work had to stand still."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._clock = SystemClock()
        self._over = Event()
        self._longest = 0.0

    def run(self) -> None:
        last = self._clock.monotonic()
        while not self._over.wait(0.01):
            now = self._clock.monotonic()
            self._longest, last = max(self._longest, now - last), now

    def stop(self) -> float:
        self._over.set()
        return self._longest


if __name__ == "__main__":
    main()
