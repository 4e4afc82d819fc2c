from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import requests
import requests_mock

from freellmapi.core.catalog import KeyProbe, Provider
from freellmapi.providers.catalog import load_catalog
from freellmapi.providers.origins import Proxies
from freellmapi.providers.probe import ERROR, HEALTHY, INVALID, RATE_LIMITED, Prober, Verdict
from tests.fakes.clock import FrozenClock

URL = "mock://probe.example/v1"
ALPHA = Provider("alpha", "Alpha", URL, probe=KeyProbe("/models", valid=frozenset({200, 402, 429})))


@pytest.fixture
def upstream() -> requests_mock.Adapter:
    return requests_mock.Adapter()


@pytest.fixture
def prober(upstream: requests_mock.Adapter) -> Prober:
    session = requests.Session()
    session.mount("mock://", upstream)
    session.mount("https://", upstream)
    return Prober(FrozenClock(), Proxies(), session)


def sent(upstream: requests_mock.Adapter) -> Any:
    assert upstream.last_request is not None
    return upstream.last_request


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, HEALTHY),
        (402, HEALTHY),
        (429, RATE_LIMITED),
        (401, INVALID),
        (403, ERROR),
        (500, ERROR),
    ],
)
def test_the_catalog_says_what_a_status_proves(
    prober: Prober, upstream: requests_mock.Adapter, status: int, expected: str
) -> None:
    upstream.register_uri("GET", f"{URL}/models", status_code=status, text="{}")
    assert prober.probe(ALPHA, "al-key").status == expected
    assert sent(upstream).headers["Authorization"] == "Bearer al-key"


@pytest.mark.parametrize(
    ("valid", "status", "credit"),
    [({200, 402, 429}, 200, True), ({200, 402, 429}, 402, False), ({200, 429}, 200, None)],
    ids=["has credit", "has none", "a list that is free for all"],
)
def test_a_probe_that_a_402_is_known_of_tells_about_credit(
    prober: Prober, upstream: requests_mock.Adapter, valid: set[int], status: int, credit: bool
) -> None:
    upstream.register_uri("GET", f"{URL}/models", status_code=status, text="{}")
    alpha = replace(ALPHA, probe=KeyProbe("/models", valid=frozenset(valid)))
    assert prober.probe(alpha, "al-key") == Verdict(HEALTHY, credit=credit)


def test_a_marker_proves_a_bad_key_whatever_the_status(
    prober: Prober, upstream: requests_mock.Adapter
) -> None:
    google = load_catalog().providers["google"]
    body = {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "API key not valid."}}
    upstream.register_uri("GET", requests_mock.ANY, status_code=400, json=body)
    verdict = prober.probe(google, "AIza-none")
    assert verdict.status == INVALID
    assert "API key not valid" in verdict.reason


def test_parts_of_a_key_go_where_they_belong(
    prober: Prober, upstream: requests_mock.Adapter
) -> None:
    cloudflare = load_catalog().providers["cloudflare"]
    upstream.register_uri("GET", requests_mock.ANY, json={})
    assert prober.probe(cloudflare, "acc0unt:t0ken") == Verdict(HEALTHY)
    assert "/accounts/acc0unt/" in sent(upstream).url
    assert sent(upstream).headers["Authorization"] == "Bearer t0ken"
    assert prober.probe(cloudflare, "t0ken").status == INVALID


def test_a_completion_of_one_token_where_lists_are_public(
    prober: Prober, upstream: requests_mock.Adapter
) -> None:
    probe = KeyProbe("/chat/completions", method="POST", model="small")
    upstream.register_uri("POST", f"{URL}/chat/completions", json={})
    assert prober.probe(replace(ALPHA, probe=probe), "k") == Verdict(HEALTHY)
    body = json.loads(sent(upstream).body)
    assert (body["model"], body["max_tokens"]) == ("small", 1)


def test_a_redirect_is_not_followed(prober: Prober, upstream: requests_mock.Adapter) -> None:
    headers = {"Location": "https://elsewhere.example/"}
    upstream.register_uri("GET", f"{URL}/models", status_code=302, headers=headers)
    assert prober.probe(ALPHA, "k").status == ERROR
    assert upstream.call_count == 1


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (requests.ConnectTimeout("<object at 0x7f>"), "it took too long"),
        (requests.ConnectionError("<object at 0x7f>"), "it cannot be reached"),
        (requests.exceptions.SSLError("<object at 0x7f>"), "its certificate"),
        (requests.exceptions.ProxyError("<object at 0x7f>"), "the proxy"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_trouble_on_the_way_says_nothing_about_the_key(
    prober: Prober, upstream: requests_mock.Adapter, failure: Exception, words: str
) -> None:
    upstream.register_uri("GET", f"{URL}/models", exc=failure)
    verdict = prober.probe(ALPHA, "k")
    assert verdict.status == ERROR
    assert words in verdict.reason
    assert "0x7f" not in verdict.reason


def test_a_reason_never_repeats_the_key(prober: Prober, upstream: requests_mock.Adapter) -> None:
    key = "gsk_" + "a1" * 20
    body = {"error": {"message": f"Incorrect API key provided: {key}"}}
    upstream.register_uri("GET", f"{URL}/models", status_code=401, json=body)
    verdict = prober.probe(ALPHA, key)
    assert verdict.status == INVALID
    assert key not in verdict.reason


def test_every_provider_of_the_catalog_can_be_probed(
    prober: Prober, upstream: requests_mock.Adapter
) -> None:
    upstream.register_uri(requests_mock.ANY, requests_mock.ANY, json={})
    for provider in load_catalog().providers.values():
        if provider.base_url:
            key = ":".join("x" * 3 for _ in provider.key_fields) or "xxx"
            assert prober.probe(provider, key).status == HEALTHY, provider.id
