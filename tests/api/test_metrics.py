"""``GET /metrics``: what was counted, as Prometheus reads it, and who may see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from freellmapi import __version__
from freellmapi.api.measured import own
from freellmapi.api.metric_names import METRICS
from freellmapi.core.counts import Numbers
from freellmapi.services import Services
from freellmapi.storage.exchange import Exchange
from tests.api.conftest import CONFIG, Build, application
from tests.fakes.clock import FrozenClock
from tests.fakes.provider import FakeProvider, status

Labels = tuple[tuple[str, str], ...]
HI = {"model": "lab/alpha", "messages": [{"role": "user", "content": "hi"}]}


def read(text: str) -> dict[tuple[str, Labels], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def scrape(client: FlaskClient) -> Callable[[], Mapping[tuple[str, Labels], float]]:
    def scrape() -> Mapping[tuple[str, Labels], float]:
        response = client.get("/metrics")
        assert response.status_code == 200
        assert response.content_type.startswith("text/plain; version=")
        return read(response.text)

    return scrape


Scrape = Callable[[], Mapping[tuple[str, Labels], float]]


def labels(**values: str) -> Labels:
    return tuple(sorted(values.items()))


def test_a_fresh_server_has_counted_nothing(scrape: Scrape) -> None:
    found = scrape()
    assert found["freellmapi_info", labels(version=__version__)] == 1
    assert found["freellmapi_ready", ()] == 1
    assert found["freellmapi_workers", ()] == 1
    assert found["freellmapi_requests_under_way", ()] == 0
    assert not [name for name, _ in found if name.startswith("freellmapi_requests_total")]
    assert found["process_resident_memory_bytes", ()] > 2**20
    assert 0 < found["process_open_fds", ()] < found["process_max_fds", ()]


def test_an_answer_is_counted(client: FlaskClient, scrape: Scrape) -> None:
    for _ in range(2):
        assert client.post("/v1/chat/completions", json=HI).status_code == 200
    found = scrape()
    assert found["freellmapi_requests_total", labels(status="200", error="", stream="false")] == 2
    assert found["freellmapi_attempts_total", labels(provider="lab", kind="answered")] == 2
    assert found["freellmapi_http_answers_total", labels(status="200")] == 2
    assert found["freellmapi_tokens_total", labels(provider="lab", of="prompt")] > 0
    assert found["freellmapi_tokens_total", labels(provider="lab", of="completion")] > 0
    of_lab = labels(provider="lab", stream="false")
    assert found["freellmapi_request_duration_seconds_count", of_lab] == 2
    assert found["freellmapi_request_duration_seconds_sum", of_lab] > 0
    assert found["freellmapi_log_transactions_total", ()] == 2
    assert found["freellmapi_requests_under_way", ()] == 0
    assert found["freellmapi_reservations_open", ()] == 0


def test_a_stream_is_open_until_it_is_read(client: FlaskClient, scrape: Scrape) -> None:
    response = client.post("/v1/chat/completions", json={**HI, "stream": True})
    during = scrape()
    assert during["freellmapi_streams_open", ()] == 1
    assert during["freellmapi_requests_under_way", ()] == 1
    assert during["freellmapi_reservations_open", ()] == 1
    response.get_data()
    response.close()
    after = scrape()
    assert after["freellmapi_streams_open", ()] == 0
    assert after["freellmapi_requests_under_way", ()] == 0
    assert after["freellmapi_first_token_seconds_count", labels(provider="lab")] == 1


def test_a_failure_is_counted_with_its_kind_and_benches(
    fake: FakeProvider, client: FlaskClient, scrape: Scrape
) -> None:
    fake.default = status(429, Retry_After="50")
    assert client.post("/v1/chat/completions", json=HI).status_code == 429
    found = scrape()
    failed = labels(status="429", error="rate_limited", stream="false")
    assert found["freellmapi_requests_total", failed] == 1
    assert found["freellmapi_attempts_total", labels(provider="lab", kind="rate_limited")] == 1
    bench = labels(provider="lab", scope="key_model", kind="rate_limited")
    assert found["freellmapi_benches", bench] == 1


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/v1/embeddings", "404"),
        ("GET", "/v1/chat/completions", "405"),
        ("POST", "/v1/chat/completions", "400"),
    ],
)
def test_refusals_are_counted_by_status(
    client: FlaskClient, scrape: Scrape, method: str, path: str, code: str
) -> None:
    client.open(path, method=method)
    assert scrape()["freellmapi_http_answers_total", labels(status=code)] == 1


def test_quota_is_summed_by_provider_and_window(client: FlaskClient, scrape: Scrape) -> None:
    of_lab = labels(provider="lab", scope="model", window="rpm")
    # Only models that are on count, and the chain has none with a cap.
    assert ("freellmapi_quota_cap", of_lab) not in scrape()


def test_caps_of_enabled_models_are_shown(build: Build, fake: FakeProvider) -> None:
    config = CONFIG.format(url=fake.base_url).replace('"lab/seer"', '"lab/beta"')
    services = build(config)
    client = application(services).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {services.tokens.reveal()}"
    client.post("/v1/chat/completions", json={**HI, "model": "lab/beta"})
    found = read(client.get("/metrics").text)
    of_lab = labels(provider="lab", scope="model", window="rpm")
    assert found["freellmapi_quota_cap", of_lab] == 3
    assert found["freellmapi_quota_left", of_lab] == 2


def test_openmetrics_is_given_to_who_asks_for_it(client: FlaskClient) -> None:
    client.post("/v1/chat/completions", json=HI)
    response = client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert response.content_type.startswith("application/openmetrics-text")
    names = {family.name for family in open_metrics(response.text)}  # type: ignore[no-untyped-call]
    assert {"freellmapi_requests", "freellmapi_hub_lag_seconds"} <= names


def test_no_label_has_what_a_client_sent(client: FlaskClient) -> None:
    client.post("/v1/chat/completions", json={**HI, "model": "secret/model", "user": "joe"})
    text = client.get("/metrics").text
    assert "secret" not in text
    assert "joe" not in text


FROM_ELSEWHERE = {"REMOTE_ADDR": "192.0.2.7"}


@pytest.mark.parametrize(
    ("environ", "headers", "code"),
    [
        pytest.param({}, {}, 200, id="from this machine"),
        pytest.param(FROM_ELSEWHERE, {}, 401, id="from elsewhere"),
        pytest.param({}, {"X-Forwarded-For": "127.0.0.1"}, 401, id="through a proxy here"),
        pytest.param({}, {"Host": "rebound.example"}, 401, id="by a name that leads here"),
        pytest.param(FROM_ELSEWHERE, {"Authorization": "Bearer wrong"}, 401, id="wrong key"),
        pytest.param(FROM_ELSEWHERE, {"Authorization": "unified"}, 200, id="unified key"),
        pytest.param(FROM_ELSEWHERE, {"Authorization": "client"}, 401, id="a client's token"),
    ],
)
def test_who_may_see_them(
    app: Flask,
    services: Services,
    environ: dict[str, str],
    headers: dict[str, str],
    code: int,
) -> None:
    keys = {"unified": services.tokens.reveal(), "client": services.tokens.create("app")}
    services.configuration.refresh()
    given = {
        name: f"Bearer {keys[value]}" if value in keys else value for name, value in headers.items()
    }
    response = app.test_client().get("/metrics", headers=given, environ_overrides=environ)
    assert response.status_code == code
    if code == 401:
        assert response.json is not None
        assert response.json["error"]["code"] == "invalid_api_key"


def test_another_workers_counts_are_added(services: Services, tmp_path: Path) -> None:
    clock = FrozenClock()
    other = Exchange(tmp_path, 7, clock, memory=tmp_path)
    counted = Numbers(
        counters={("freellmapi_requests", "200", "", "true"): 5},
        gauges={("freellmapi_streams_open",): 3},
    )
    other.tell(counted)
    both = replace(services, exchange=Exchange(tmp_path, 7, clock, memory=tmp_path))
    found = read(application(both).test_client().get("/metrics").text)
    assert found["freellmapi_requests_total", labels(status="200", error="", stream="true")] == 5
    assert found["freellmapi_streams_open", ()] == 3
    assert found["freellmapi_workers", ()] == 2


def test_every_number_has_a_name_and_as_many_labels(
    client: FlaskClient, services: Services
) -> None:
    client.post("/v1/chat/completions", json=HI)
    found = own(services)
    for key in (*found.counters, *found.histograms, *found.gauges, *found.highest):
        assert len(key) == 1 + len(METRICS[key[0]].labels), key
