"""A provider's true caps, enforced over sliding windows, to prove that none is exceeded."""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caps:
    """What one key may use; None: no cap. ``minute`` and ``day`` are the windows in seconds."""

    rpm: int | None = None
    tpm: int | None = None
    rpd: int | None = None
    concurrency: int | None = None
    per_model: bool = True
    """Whether each model of a key has caps of its own."""
    minute: float = 60.0
    day: float = 86_400.0


@dataclass(frozen=True, slots=True)
class Served:
    """One call that was let through."""

    at: float
    key: str
    model: str
    tokens: int


class Gatekeeper:
    """Lets calls through as long as the caps allow, and remembers both outcomes."""

    def __init__(self, caps: Caps, clock: Callable[[], float] = time.monotonic) -> None:
        self.caps = caps
        self.served: list[Served] = []
        self.violations = 0
        """Calls that had to be answered with 429."""
        self._clock = clock
        self._lock = threading.Lock()
        self._running: dict[tuple[str, str], int] = defaultdict(int)
        self._calls: dict[tuple[str, str], list[Served]] = defaultdict(list)

    def enter(self, key: str, model: str, tokens: int) -> float | None:
        """None when the call is let through (pair it with ``leave``); else seconds to wait."""
        with self._lock:
            wait = self._wait(self._slot(key, model), tokens)
            if wait is not None:
                self.violations += 1
                return wait
            call = Served(self._clock(), key, model, tokens)
            self.served.append(call)
            self._calls[self._slot(key, model)].append(call)
            self._running[self._slot(key, model)] += 1
            return None

    def leave(self, key: str, model: str) -> None:
        with self._lock:
            self._running[self._slot(key, model)] -= 1

    def _slot(self, key: str, model: str) -> tuple[str, str]:
        return (key, model if self.caps.per_model else "")

    def _wait(self, slot: tuple[str, str], tokens: int) -> float | None:
        caps = self.caps
        if caps.concurrency is not None and self._running[slot] >= caps.concurrency:
            return 1.0
        waits = (
            self._until_room(slot, caps.minute, caps.rpm, lambda _: 1, 1),
            self._until_room(slot, caps.day, caps.rpd, lambda _: 1, 1),
            self._until_room(slot, caps.minute, caps.tpm, lambda call: call.tokens, tokens),
        )
        found = [wait for wait in waits if wait is not None]
        return max(found) if found else None

    def _until_room(
        self,
        slot: tuple[str, str],
        window: float,
        cap: int | None,
        cost: Callable[[Served], int],
        wanted: int,
    ) -> float | None:
        if cap is None:
            return None
        now = self._clock()
        live = [call for call in self._calls[slot] if call.at > now - window]
        used = sum(map(cost, live))
        wait = None
        for call in live:
            if used + wanted <= cap:
                return wait
            used -= cost(call)
            wait = call.at + window - now
        return wait if used + wanted <= cap else window


def retry_after(wait: float) -> str:
    """The header's value: whole seconds, at least one."""
    return str(max(1, math.ceil(wait)))
