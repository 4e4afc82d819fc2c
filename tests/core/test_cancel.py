"""Telling a call that nobody waits for it any more."""

from __future__ import annotations

from freellmapi.core.cancel import Cancellation


def test_the_call_under_way_is_interrupted_once() -> None:
    cancel, seen = Cancellation(), list[str]()
    cancel.interrupted_by(lambda: seen.append("now"))
    cancel.cancel()
    cancel.cancel()
    assert seen == ["now"]
    assert cancel.cancelled


def test_a_call_that_begins_too_late_is_interrupted_at_once() -> None:
    cancel, seen = Cancellation(), list[str]()
    cancel.cancel()
    cancel.interrupted_by(lambda: seen.append("at once"))
    assert seen == ["at once"]


def test_a_call_that_is_over_is_left_alone() -> None:
    cancel, seen = Cancellation(), list[str]()
    cancel.interrupted_by(lambda: seen.append("first"))
    cancel.interrupted_by(lambda: seen.append("second"))
    cancel.interrupted_by(None)
    cancel.cancel()
    assert seen == []


def test_an_interrupt_that_cancels_again_is_harmless() -> None:
    cancel, seen = Cancellation(), list[str]()

    def interrupt() -> None:
        seen.append("once")
        cancel.cancel()

    cancel.interrupted_by(interrupt)
    cancel.cancel()
    assert seen == ["once"]


def test_what_is_linked_is_cancelled_with_it_or_alone() -> None:
    cancel, seen = Cancellation(), list[str]()
    first, second = cancel.linked(), cancel.linked()
    first.interrupted_by(lambda: seen.append("first"))
    second.interrupted_by(lambda: seen.append("second"))
    first.cancel()
    assert (seen, cancel.cancelled, second.cancelled) == (["first"], False, False)
    cancel.cancel()
    assert seen == ["first", "second"]
    assert second.cancelled


def test_what_is_linked_too_late_is_cancelled_from_the_start() -> None:
    cancel, seen = Cancellation(), list[str]()
    cancel.cancel()
    late = cancel.linked()
    late.interrupted_by(lambda: seen.append("at once"))
    assert late.cancelled
    assert seen == ["at once"]


def test_only_what_is_still_wanted_is_overtaken() -> None:
    wanted, left = Cancellation(), Cancellation()
    left.cancel()
    for cancel in (wanted, left):
        cancel.overtake()
        assert cancel.cancelled
    assert (wanted.overtaken, left.overtaken) == (True, False)
