"""Telling a call under way that nobody waits for its answer any more."""

from __future__ import annotations

from collections.abc import Callable


class Cancellation:
    """One request's wish to be left alone; ``cancel`` may come from another greenlet.

    The call that is blocking registers how it is interrupted; one at a time. Calls that run
    side by side each have one that is ``linked``.
    """

    __slots__ = ("_interrupt", "_linked", "cancelled", "overtaken")

    def __init__(self) -> None:
        self.cancelled = False
        self.overtaken = False
        """Whether it was cancelled because a call beside it has answered."""
        self._interrupt: Callable[[], None] | None = None
        self._linked: tuple[Cancellation, ...] = ()

    def cancel(self) -> None:
        """Interrupt what is under way, now and for good; again is harmless."""
        self.cancelled = True
        interrupt, self._interrupt = self._interrupt, None
        if interrupt is not None:
            interrupt()
        for linked in self._linked:
            linked.cancel()

    def overtake(self) -> None:
        """Cancel it because a call beside it has answered; harmless once it is cancelled."""
        if not self.cancelled:
            self.overtaken = True
            self.cancel()

    def linked(self) -> Cancellation:
        """One that is cancelled with this one, and can be cancelled alone."""
        made = Cancellation()
        made.cancelled = self.cancelled
        self._linked = (*self._linked, made)
        return made

    def interrupted_by(self, interrupt: Callable[[], None] | None) -> None:
        """How the call now under way is ended (None: none is)."""
        self._interrupt = interrupt
        if self.cancelled and interrupt is not None:
            self.cancel()
