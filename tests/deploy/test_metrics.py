"""The dashboard and the alert rules ask only for what a running server exports."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from freellmapi.api.metric_names import METRICS
from tests.e2e.server import HELLO, PATIENCE, Server, config
from tests.fakes.provider import Caps, FakeProvider, says, status
from tests.fakes.redis_server import RedisServer

pytestmark = pytest.mark.e2e

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "freellmapi.json").read_text())
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
_NAME = re.compile(r"\b(?:freellmapi|process)_[a-z_]+")


def asked_for() -> Iterator[str]:
    """Every expression of the two files."""
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (variable["query"]["query"] for variable in DASHBOARD["templating"]["list"][1:])
    yield from (rule["expr"] for rule in RULES)


NAMES = sorted({name for expr in asked_for() for name in _NAME.findall(expr)})


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[frozenset[str]]:
    """Names of all samples of two workers, after an answer, a stream and a failure."""
    redis = RedisServer()
    redis.start()
    with FakeProvider(limits=Caps(rpm=50)) as fake:
        fake.default = says("hi", usage=(5, 2))
        text = config({"lab": fake.base_url}, limits={"rpm": 50, "rpd": 60}, max_wait=0)
        folder = tmp_path_factory.mktemp("metrics")
        with Server(folder, text, REDIS_URL=redis.url, WEB_CONCURRENCY="2") as server:
            with server.client() as client:
                client.chat.completions.create(model="auto", messages=HELLO)
            with server.streaming() as stream:
                assert b"[DONE]" in stream.content
            fake.default = status(429, Retry_After="50")
            with server.streaming() as refused:
                assert refused.status_code == 429
            shown: list[frozenset[str]] = []

            def is_told() -> bool:
                # A worker hears of another one's bench within a second, of its counts in two.
                shown.append(names(server))
                return {"freellmapi_benches", "freellmapi_first_token_seconds_bucket"} <= shown[-1]

            server.until(is_told, "benches and first tokens are shown")
    redis.close()
    yield shown[-1]


def names(server: Server) -> frozenset[str]:
    body = requests.get(f"{server.url}/metrics", timeout=PATIENCE)
    assert body.status_code == 200
    families = text_string_to_metric_families(body.text)
    return frozenset(sample.name for family in families for sample in family.samples)


def test_there_is_something_to_ask_for() -> None:
    assert len(NAMES) > 25


@pytest.mark.parametrize("name", NAMES)
def test_what_is_asked_for_is_exported(exported: frozenset[str], name: str) -> None:
    assert name in exported


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_shown_somewhere(name: str) -> None:
    assert any(asked.startswith(name) for asked in NAMES)


def test_panels_have_a_place_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, dict[str, str]]) -> None:
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    assert rule["annotations"]["summary"] and rule["annotations"]["description"]


def test_prometheus_is_told_where_and_how() -> None:
    told = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    (job,) = told["scrape_configs"]
    assert job["job_name"] == "freellmapi"
    assert told["rule_files"] == ["alerts.yml"]
