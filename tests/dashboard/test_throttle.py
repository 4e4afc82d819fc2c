"""Guessing gets slower for who guesses, and for nobody else."""

from __future__ import annotations

from flask import Flask

from freellmapi.dashboard.throttle import FORGOTTEN, FREE, LONGEST, MOST, Throttle
from tests.dashboard.conftest import NAME, PASSWORD, Visitor
from tests.fakes.clock import FrozenClock

EVE = ("203.0.113.9", "account ada")


def guess(throttle: Throttle, times: int) -> None:
    for _ in range(times):
        throttle.wait(EVE)


def test_the_wait_doubles_from_the_fourth_wrong_one_on(clock: FrozenClock) -> None:
    throttle = Throttle(clock)
    waits: list[float] = []
    for _ in range(FREE + 4):
        assert throttle.wait(EVE) == 0
        waits.append(throttle.wait(EVE) if len(waits) >= FREE - 1 else 0.0)
        clock.advance(waits[-1])
    assert waits == [0, 0, 0, 1, 2, 4, 8, 16]


def test_the_wait_is_never_longer_than_five_minutes(clock: FrozenClock) -> None:
    throttle = Throttle(clock)
    for _ in range(40):
        clock.advance(throttle.wait(EVE))
    assert throttle.wait(EVE) <= LONGEST


def test_a_right_password_clears_the_count(clock: FrozenClock) -> None:
    throttle = Throttle(clock)
    guess(throttle, FREE)
    throttle.clear(EVE)
    assert [throttle.wait(EVE) for _ in range(FREE)] == [0.0] * FREE


def test_an_hour_of_quiet_is_forgiven(clock: FrozenClock) -> None:
    throttle = Throttle(clock)
    guess(throttle, FREE)
    clock.advance(FORGOTTEN + 1)
    assert [throttle.wait(EVE) for _ in range(FREE - 1)] == [0.0] * (FREE - 1)


def test_others_do_not_wait(clock: FrozenClock) -> None:
    throttle = Throttle(clock)
    guess(throttle, FREE)
    assert throttle.wait(EVE) > 0
    assert throttle.wait(("198.51.100.7", EVE[1])) == 0
    assert throttle.wait((EVE[0], "setup")) == 0


def test_memory_is_bounded(clock: FrozenClock) -> None:
    throttle = Throttle(clock)
    guess(throttle, FREE)
    for n in range(MOST):
        throttle.wait((str(n), "account ada"))
    assert throttle.wait(EVE) == 0


def test_the_owner_gets_in_from_elsewhere_while_a_stranger_guesses(
    app: Flask, owner: Visitor, stranger: Visitor
) -> None:
    answers = [stranger.log_in(password=f"wrong {n}") for n in range(FREE + 1)]
    assert [a.status_code for a in answers] == [422] * FREE + [429]
    assert "Try again in 1 s" in answers[-1].get_data(as_text=True)
    assert stranger.log_in(NAME, PASSWORD).status_code == 429
    elsewhere = Visitor(app.test_client(), REMOTE_ADDR="198.51.100.7")
    assert elsewhere.log_in().status_code == 302


def test_a_browser_that_was_logged_in_gets_in_from_the_same_address(
    app: Flask, owner: Visitor
) -> None:
    owner.post("/logout")
    neighbour = Visitor(app.test_client())
    for n in range(FREE + 1):
        neighbour.log_in(password=f"wrong {n}")
    assert neighbour.log_in().status_code == 429
    assert owner.log_in().status_code == 302


def test_a_stranger_waits_no_longer_than_was_said(
    owner: Visitor, stranger: Visitor, clock: FrozenClock
) -> None:
    for n in range(FREE + 1):
        stranger.log_in(password=f"wrong {n}")
    clock.advance(1.0)
    assert stranger.log_in().status_code == 302


def test_codes_are_not_guessed_quickly_either(stranger: Visitor) -> None:
    answers = [stranger.set_up(code=f"AAAA-BBBB-{n:04d}") for n in range(FREE + 1)]
    assert [a.status_code for a in answers] == [422] * FREE + [429]
