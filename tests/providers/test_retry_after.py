from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freellmapi.providers.retry_after import (
    parse_duration,
    parse_reset,
    prose_wait,
    reset_moment,
    stated_wait,
)

NOW = datetime(2026, 11, 22, 20, 0, 0, tzinfo=timezone.utc).timestamp()
DAY = 86_400.0


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        (" 12 ", 12.0),
        ("7.66s", 7.66),
        ("Sun, 22 Nov 2026 20:01:30 GMT", 90.0),
        ("Sunday, 22-Nov-26 20:00:05 GMT", 5.0),
        ("2026-11-22T20:00:40Z", 40.0),
        ("1795377630", 30.0),
        ("1795377630000", 30.0),
        ("999999", DAY),
        ("Mon, 22 Nov 2027 20:00:00 GMT", DAY),
        ("Sun, 22 Nov 2026 19:59:00 GMT", None),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("1e9", None),
        ("٣", None),
        ("Sun, 99 Nov 2026 20:00:00 GMT", None),
    ],
)
def test_the_retry_after_header(value: str, wait: float | None) -> None:
    assert stated_wait({"retry-after": value}, None, NOW) == wait


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after-ms": "412"}, 0.412),
        ({"retry-after": "3", "retry-after-ms": "412"}, 3.0),
        ({"retry-after": "later", "retry-after-ms": "412"}, 0.412),
        ({"x-ratelimit-timeremaining": "41"}, 41.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795377660000"}, 60.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "7.66s"}, 7.66),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "7.66s"}, None),
        ({"x-ratelimit-reset-tokens": "7.66s"}, None),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "2m59.56s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "7s",
            },
            179.56,
        ),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "?"}, None),
        ({}, None),
    ],
)
def test_other_headers(headers: dict[str, str], wait: float | None) -> None:
    assert stated_wait(headers, None, NOW) == (None if wait is None else pytest.approx(wait))


@pytest.mark.parametrize(
    ("payload", "wait"),
    [
        ({"error": {"details": [{"retryDelay": "38.2s"}]}}, 38.2),
        ([{"error": {"details": [{"@type": "x"}, {"retryDelay": "0.25s"}]}}], 0.25),
        ({"retry_after": 12}, 12.0),
        ({"error": {"retryAfter": "2.5"}}, 2.5),
        ({"error": {"metadata": {"retry_after_seconds": 9}}}, 9.0),
        ({"estimated_time": 20.0}, 20.0),
        ({"error": {"metadata": {"headers": {"X-RateLimit-Remaining": "0"}}}}, None),
        ({"retry_after": True}, None),
        ({"retry_after": -1}, None),
        ({"retry_after": None}, None),
        ({"error": {"message": "Please try again in 7.66s. Used 401"}}, 7.66),
        ({"error": "Try again in 60 seconds"}, 60.0),
        ("Please wait 9 seconds", 9.0),
        ({"error": {"message": "Used 11402 of 12000"}}, None),
        (None, None),
    ],
)
def test_the_body(payload: object, wait: float | None) -> None:
    assert stated_wait({}, payload, NOW) == wait


def test_headers_kept_in_the_body_count() -> None:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1795392000000"}
    payload = {"error": {"metadata": {"headers": headers}}}
    assert stated_wait({}, payload, NOW) == 14_400.0


def test_a_field_is_a_promise_and_a_sentence_an_observation() -> None:
    payload = {"error": {"message": "try again in 9s", "details": [{"retryDelay": "3s"}]}}
    exhausted = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "5s"}
    assert stated_wait({"retry-after": "2", **exhausted}, payload, NOW) == 2.0
    assert stated_wait(exhausted, payload, NOW) == 3.0
    assert stated_wait(exhausted, {"error": {"message": "try again in 9s"}}, NOW) == 5.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2m59.56s", 179.56),
        ("7.66s", 7.66),
        ("1h2m3s", 3723.0),
        ("50ms", 0.05),
        ("1h", 3600.0),
        ("0s", 0.0),
        (".5s", 0.5),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("10ns", 1e-8),
        ("", None),
        ("7", None),
        ("7.66", None),
        ("s", None),
        ("-3s", None),
        ("3 s", None),
        ("3s!", None),
        ("1d", None),
    ],
)
def test_go_durations(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Please try again in 7.66s.", 7.66),
        ("Please try again in 2m59.56s. Need more?", 179.56),
        ("try again in 802ms", 0.802),
        ("please try again after 20 seconds", 20.0),
        ("Please retry after 26 seconds.", 26.0),
        ("Please wait 5631 seconds before retrying.", 5631.0),
        ("Please retry in 38.2s", 38.2),
        ("Try again in 5 minutes", 300.0),
        ("try again in 1 hour", 3600.0),
        ("try again in 1 day", DAY),
        ("wait for 3 sec", 3.0),
        ("Your quota will reset after 2h15m3s.", 8103.0),
        ("Please try again later", None),
        ("wait 30 requests", None),
        ("the last 20 seconds", None),
        ("Limit 6000, Used 5500", None),
    ],
)
def test_prose(text: str, seconds: float | None) -> None:
    assert prose_wait(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("text", "zone", "seconds"),
    [
        ("will reset at 2026-11-22 20:10:00", "UTC", 600.0),
        ("will reset at 2026-11-23 04:10:00", "Asia/Shanghai", 600.0),
        ("将在 2026-11-23 04:10:00 重置", "Asia/Shanghai", 600.0),
        ("reset at 2026-11-22 19:00:00", "UTC", None),
        ("reset at 2026-99-22 19:00:00", "UTC", None),
        ("no date", "UTC", None),
    ],
)
def test_a_reset_told_as_local_time(text: str, zone: str, seconds: float | None) -> None:
    assert reset_moment(text, zone, NOW) == seconds


def test_a_reset_is_read_in_every_unit() -> None:
    for text in ("30s", "30", "30.0", "1795377630", "1795377630000", "2026-11-22T20:00:30+00:00"):
        assert parse_reset(text, NOW) == 30.0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "details", "metadata", "headers", "retry_after", "message"]),
            inner,
        )
    ),
)


@given(st.text(max_size=40), JSON)
def test_a_wait_is_none_or_within_a_day(value: str, payload: object) -> None:
    for headers in (
        {"retry-after": value},
        {"x-ratelimit-remaining": "0"} | {"x-ratelimit-reset": value},
    ):
        wait = stated_wait(headers, payload, NOW)
        assert wait is None or 0 <= wait <= DAY
