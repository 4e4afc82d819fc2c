"""Headers that say how a request was served."""

from __future__ import annotations

import pytest

from freellmapi.api.headers import MAX_TRAIL, MAX_VALUE, ratelimit_headers, route_headers, safe
from freellmapi.core.catalog import Model, Provider
from freellmapi.core.errors import ErrorKind
from freellmapi.core.route import Attempt, Candidate, Outcome
from freellmapi.router.headroom import Headroom, Window

PROVIDER = Provider("alpha", "Alpha", "https://alpha.test")
SERVED = Candidate.of(PROVIDER, Model("alpha", "org/m", "M", "m"), "1")


def attempt(provider: str, error: ErrorKind | None = None) -> Attempt:
    return Attempt(provider, "m", "1", started_at=0, duration=1, error=error)


def test_a_first_answer_names_only_who_gave_it() -> None:
    outcome = Outcome((attempt("alpha"),), served_by=SERVED)
    assert dict(route_headers(outcome)) == {"X-Routed-Via": "alpha/org/m"}


def test_failed_attempts_are_counted_and_listed_in_order() -> None:
    failed = (
        attempt("beta", ErrorKind.RATE_LIMITED),
        attempt("gamma", ErrorKind.TIMEOUT),
    )
    headers = dict(route_headers(Outcome((*failed, attempt("alpha")), served_by=SERVED)))
    assert headers["X-Fallback-Attempts"] == "2"
    assert headers["X-Fallback-Trail"] == "beta/m=rate_limited, gamma/m=timeout"


def test_a_long_trail_is_cut_but_counted() -> None:
    failed = tuple(attempt(f"p{i}", ErrorKind.TIMEOUT) for i in range(MAX_TRAIL + 3))
    headers = dict(route_headers(Outcome(failed)))
    assert headers["X-Fallback-Attempts"] == str(MAX_TRAIL + 3)
    assert headers["X-Fallback-Trail"].count("=") == MAX_TRAIL
    assert "X-Routed-Via" not in headers


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("alpha/m", "alpha/m"),
        ("a\r\nSet-Cookie: x", "a??Set-Cookie: x"),
        ("modèle\u2028", "mod?le?"),
        ("\x00\x7f\t", "???"),
        ("x" * 5000, "x" * MAX_VALUE),
    ],
)
def test_no_value_ends_its_header_early(value: str, wanted: str) -> None:
    assert safe(value) == wanted


def room(cap: int, left: int, resets_at: float = 1_012.4) -> Headroom:
    return Headroom((Window(cap, left, resets_at),), ())


def test_what_is_left_is_summed_over_the_keys() -> None:
    headers = dict(ratelimit_headers([room(10, 4, 1_060), room(10, 10)], now=1_000))
    assert headers == {
        "x-ratelimit-limit-requests": "20",
        "x-ratelimit-remaining-requests": "14",
        "x-ratelimit-reset-requests": "12s",
    }


def test_the_tightest_window_of_a_key_counts() -> None:
    windows = (Window(30, 29, 1_060), Window(1_000, 3, 9_000))
    headers = dict(ratelimit_headers([Headroom(windows, windows)], now=1_000))
    for name in ("requests", "tokens"):
        assert headers[f"x-ratelimit-limit-{name}"] == "1000"
        assert headers[f"x-ratelimit-remaining-{name}"] == "3"
        assert headers[f"x-ratelimit-reset-{name}"] == "8000s"


@pytest.mark.parametrize(
    "pool",
    [[], [Headroom((), ())], [room(10, 4), Headroom((), ())]],
    ids=["no key", "no cap", "one key without a cap"],
)
def test_nothing_is_said_where_no_cap_is_known(pool: list[Headroom]) -> None:
    assert not list(ratelimit_headers(pool, now=0))


def test_a_reset_is_never_negative() -> None:
    headers = dict(ratelimit_headers([room(1, 0, 990)], now=1_000))
    assert headers["x-ratelimit-reset-requests"] == "0s"
