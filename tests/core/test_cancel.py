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
