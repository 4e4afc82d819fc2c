"""Telling a call under way that nobody waits for its answer any more."""

from __future__ import annotations

from collections.abc import Callable


class Cancellation:
    """One request's wish to be left alone; ``cancel`` may come from another greenlet.

    The call that is blocking registers how it is interrupted; one at a time.
    """

    __slots__ = ("_interrupt", "cancelled")

    def __init__(self) -> None:
        self.cancelled = False
        self._interrupt: Callable[[], None] | None = None

    def cancel(self) -> None:
        """Interrupt what is under way, now and for good; again is harmless."""
        self.cancelled = True
        interrupt, self._interrupt = self._interrupt, None
        if interrupt is not None:
            interrupt()

    def interrupted_by(self, interrupt: Callable[[], None] | None) -> None:
        """How the call now under way is ended (None: none is)."""
        self._interrupt = interrupt
        if self.cancelled and interrupt is not None:
            self.cancel()
