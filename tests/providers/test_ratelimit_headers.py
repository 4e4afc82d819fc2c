from __future__ import annotations

import pytest

from freellmapi.core.catalog import Provider
from freellmapi.providers.catalog import load_catalog
from freellmapi.providers.ratelimit_headers import Observation, named_in_body, observed

NOW = 1_795_377_600.0
GROQ = {
    "x-ratelimit-limit-requests": "limit_rpd",
    "x-ratelimit-remaining-requests": "remaining_rpd",
    "x-ratelimit-reset-requests": "reset_rpd:duration",
    "x-ratelimit-limit-tokens": "limit_tpm",
    "x-ratelimit-remaining-tokens": "remaining_tpm",
    "x-ratelimit-reset-tokens": "reset_tpm:duration",
}


def provider(meanings: dict[str, str]) -> Provider:
    return Provider(id="lab", name="Lab", base_url="", ratelimit_headers=meanings)


def test_every_window_is_told_with_what_is_known_of_it() -> None:
    headers = {
        "x-ratelimit-limit-requests": "1000",
        "x-ratelimit-remaining-requests": "998",
        "x-ratelimit-reset-requests": "2m52.5s",
        "x-ratelimit-limit-tokens": "8000",
        "x-ratelimit-remaining-tokens": "7000",
        "x-ratelimit-reset-tokens": "7.5s",
    }
    assert observed(headers, provider(GROQ), NOW) == (
        Observation("rpd", 1000, 998, 172.5),
        Observation("tpm", 8000, 7000, 7.5),
    )


def test_only_what_stands_there_is_observed() -> None:
    seen = observed({"x-ratelimit-remaining-tokens": "12"}, provider(GROQ), NOW)
    assert seen == (Observation("tpm", remaining=12),)
    assert observed({"content-type": "text/plain"}, provider(GROQ), NOW) == ()
    assert observed({"x-ratelimit-limit-requests": "9"}, provider({}), NOW) == ()


@pytest.mark.parametrize("value", ["", "many", "-1", "nan", "1e3", "٣"])
def test_nonsense_is_passed_over(value: str) -> None:
    headers = {"x-ratelimit-limit-tokens": value, "x-ratelimit-reset-tokens": value}
    assert observed(headers, provider(GROQ), NOW) == ()


@pytest.mark.parametrize(
    ("unit", "value", "seconds"),
    [
        ("duration", "1h2m3s", 3723.0),
        ("duration", "50ms", 0.05),
        ("seconds", "33011.5", 33011.5),
        ("seconds", "11", 11.0),
        ("epoch", "1795377630", 30.0),
        ("epoch_ms", "1795377630000", 30.0),
        ("epoch", "1795377000", 0.0),
        ("any", "30", 30.0),
        ("any", "1795377630", 30.0),
        ("seconds", "30s", 30.0),
    ],
)
def test_a_reset_is_read_in_its_unit(unit: str, value: str, seconds: float) -> None:
    (seen,) = observed({"x-reset": value}, provider({"x-reset": f"reset_tpm:{unit}"}), NOW)
    assert seen == Observation("tpm", resets_in=seconds)


def test_a_reset_of_no_window_is_that_of_the_exhausted_one() -> None:
    meanings = {"r-rpm": "remaining_rpm", "r-rpd": "remaining_rpd", "reset": "reset:epoch_ms"}
    headers = {"r-rpm": "4", "r-rpd": "0", "reset": "1795377660000"}
    assert observed(headers, provider(meanings), NOW) == (
        Observation("rpm", remaining=4),
        Observation("rpd", remaining=0, resets_in=60.0),
    )


def test_a_misspelt_meaning_is_an_error_of_the_catalog() -> None:
    with pytest.raises(ValueError, match="limit_rph"):
        observed({"x": "1"}, provider({"x": "limit_rph"}), NOW)


def test_the_catalog_speaks_only_of_meanings_that_are_read() -> None:
    for entry in load_catalog().providers.values():
        headers = dict.fromkeys(entry.ratelimit_headers, "1")
        observed(headers, entry, NOW)


def test_caps_named_in_an_error_body() -> None:
    groq = {"error": {"message": "... on tokens per day (TPD): Limit 100000, Used 1, Requested 2"}}
    assert named_in_body(groq) == (Observation("tpd", limit=100_000),)
    violations = [
        {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "20"},
        {"quotaId": "GenerateContentInputTokensPerModelPerMinute-FreeTier", "quotaValue": "250000"},
        {"quotaId": "SomethingElse", "quotaValue": "7"},
        {"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"},
    ]
    google = {"error": {"code": 429, "details": [{"violations": violations}]}}
    assert named_in_body(google) == (
        Observation("rpd", limit=20),
        Observation("tpm", limit=250_000),
    )
    assert named_in_body("slow down") == ()
