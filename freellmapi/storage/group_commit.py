"""Group commit: whoever has something to write waits, one writes it all.

While one batch is being written the next one gathers, and no batch is taken before the
greenlets that can run now have run; so one caller at a time costs one transaction each, and
many at once share a few. A native thread writes, which holds nobody else up; or the hub itself
does, where a batch can be written in less time than another thread is woken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import gevent
from gevent.event import Event
from gevent.monkey import get_original

T = TypeVar("T")

# Real ones even in a patched process: the writer is no greenlet, and the lock below is
# held for a few instructions only, never across a switch.
_new_lock = get_original("_thread", "allocate_lock")
_start_thread = get_original("_thread", "start_new_thread")


class Closed(Exception):
    """Nothing more is written."""


class GroupCommit(Generic[T]):
    """Hands items to ``write`` in batches, on a native thread, one batch at a time.

    ``write`` returns the errors of the items that were not written, by their place in the
    batch; what it raises counts for all of them. Callers may be greenlets of any hub or
    plain threads; no caller's hub is held while it waits.

    ``write_at_once`` is asked first, on the hub: it writes all of the items and returns True, or
    nothing and returns False, without waiting for anything.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], Mapping[int, Exception]],
        write_at_once: Callable[[Sequence[T]], bool] = lambda _items: False,
    ) -> None:
        self._write = write
        self._write_at_once = write_at_once
        self._refused: _Batch[T] | None = None
        """What could not be written at once, for the thread."""
        self._lock = _new_lock()
        self._wake = _new_lock()
        self._wake.acquire()
        self._gathering: _Batch[T] = _Batch()
        self._is_idle = True
        self._is_started = False
        self._is_closed = False

    def add(self, item: T) -> Exception | None:
        """Returns once the item is written, or its error once it cannot be."""
        with self._lock:
            if self._is_closed:
                raise Closed
            batch = self._gathering
            place = len(batch.items)
            batch.items.append(item)
            waiter = batch.waiter(self._rouse_soon)
        waiter.done.wait()
        return batch.error(place)

    @property
    def waiting(self) -> int:
        """How many items gather for the next batch."""
        return len(self._gathering.items)

    def flush(self) -> None:
        """Returns once all that was added is written; ``write`` is called even with nothing."""
        with self._lock:
            if self._is_closed:
                return
            waiter = self._gathering.waiter(self._rouse_soon)
        waiter.done.wait()

    def close(self) -> None:
        """Returns once all that was added is written; nothing can be added any more."""
        with self._lock:
            is_over = self._is_closed or not (self._is_started or self._gathering.waiters)
            self._is_closed = True
            if is_over:
                return
            waiter = self._gathering.waiter(self._rouse_soon)
        waiter.done.wait()

    def _rouse_soon(self, hub: gevent.hub.Hub) -> None:
        """Gets the writer going once the turn of this hub's loop is over: what else is ready
        may have something to write as well. At 32 connections that halves the transactions."""
        hub.loop.run_callback(self._rouse)

    def _rouse(self) -> None:
        with self._lock:
            if not self._is_idle:
                # Whoever writes now takes what has gathered by then.
                return
            self._is_idle = False
            batch = self._own_batch()
        if batch is None:
            self._wake_thread()
        elif batch.settle_at_once(self._write_at_once):
            self._go_on()
        else:
            self._refused = batch
            self._wake_thread()

    def _own_batch(self) -> _Batch[T] | None:
        """What can be written at once: items of this hub alone, which is not to end."""
        batch = self._gathering
        is_own = batch.items and list(batch.waiters) == [gevent.get_hub()]
        if self._is_closed or not is_own:
            return None
        self._gathering = _Batch()
        return batch

    def _go_on(self) -> None:
        """After a batch was written at once: other hubs may have something by now."""
        with self._lock:
            if not self._gathering.waiters:
                self._is_idle = True
                return
        self._wake_thread()

    def _wake_thread(self) -> None:
        if not self._is_started:
            # Not before the first item: gunicorn forks between import and service.
            self._is_started = True
            _start_thread(self._run, ())
        self._wake.release()

    def _run(self) -> None:
        while True:
            self._wake.acquire()
            while (batch := self._take()) is not None:
                batch.settle(self._write)
            if self._is_closed:
                return

    def _take(self) -> _Batch[T] | None:
        with self._lock:
            batch, self._refused = self._refused, None
            if batch is not None:
                return batch
            batch = self._gathering
            if not batch.waiters:
                self._is_idle = True
                return None
            self._gathering = _Batch()
            return batch


class _Batch(Generic[T]):
    """Items that are written together, and those who wait for it."""

    __slots__ = ("errors", "failure", "items", "waiters")

    def __init__(self) -> None:
        self.items: list[T] = []
        self.waiters: dict[object, _Waiter] = {}
        self.errors: Mapping[int, Exception] = {}
        self.failure: Exception | None = None

    def waiter(self, on_first: Callable[[gevent.hub.Hub], None]) -> _Waiter:
        """The one of the caller's hub, shared by all its greenlets; ``on_first`` when new."""
        hub = gevent.get_hub()
        waiter = self.waiters.get(hub)
        if waiter is None:
            waiter = self.waiters[hub] = _Waiter(hub)
            on_first(hub)
        return waiter

    def settle(self, write: Callable[[Sequence[T]], Mapping[int, Exception]]) -> None:
        try:
            self.errors = write(self.items)
        except Exception as exc:  # noqa: BLE001
            # The edge of a background job: whatever it is, the callers are told, and the
            # writer lives on for the next batch.
            self.failure = exc
        finally:
            for waiter in self.waiters.values():
                waiter.call()

    def settle_at_once(self, write: Callable[[Sequence[T]], bool]) -> bool:
        """On the hub of its one waiter; whether the callers have been told."""
        try:
            if not write(self.items):
                return False
        except Exception as exc:  # noqa: BLE001
            # As in ``settle``: the hub lives on, too.
            self.failure = exc
        for waiter in self.waiters.values():
            waiter.called()
        return True

    def error(self, place: int) -> Exception | None:
        return self.failure or self.errors.get(place)


class _Waiter:
    """An event of one hub that another thread can set.

    The watcher is what wakes the hub; while it is active the hub also knows that there is
    something to wait for.
    """

    __slots__ = ("_watcher", "done")

    def __init__(self, hub: gevent.hub.Hub) -> None:
        self.done = Event()
        self._watcher = hub.loop.async_()
        self._watcher.start(self.called)

    def call(self) -> None:
        self._watcher.send()

    def called(self) -> None:
        self.done.set()
        self._watcher.stop()
        self._watcher.close()
