"""Endpoints of one's own: added, asked, removed; and what a running server makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from freellmapi.app import build_services
from freellmapi.services import Services
from freellmapi.settings import Settings
from tests.cli.conftest import Run
from tests.fakes.clock import FrozenClock
from tests.fakes.provider import FakeProvider, status


@pytest.fixture
def box() -> Iterator[FakeProvider]:
    with FakeProvider(models=["gemma3:270m", "qwen3:4b", "nomic-embed-text"]) as box:
        box.routes["/models"] = status(404, "404 page not found")
        yield box


@pytest.fixture
def server(environ: dict[str, str]) -> Iterator[Services]:
    """The parts of a server that runs all the while."""
    services = build_services(Settings.from_env(environ), FrozenClock())
    yield services
    services.close()


def models(run: Run, id: str) -> dict[str, bool]:
    listed = json.loads(run("models", "list", id, "--json").stdout)
    return {model["model"]: model["enabled"] for model in listed}


def test_an_endpoint_is_found_asked_and_used(run: Run, box: FakeProvider) -> None:
    added = run("providers", "add", "box", f"http://127.0.0.1:{box.port}")
    assert added.exit_code == 0, added.output
    assert f"/v1 added: {box.base_url}" in added.output
    assert models(run, "box") == {"box/gemma3:270m": True, "box/qwen3:4b": True}
    (lab, shown) = json.loads(run("providers", "list", "--json").stdout)
    assert (lab["id"], lab["source"]) == ("lab", "file")
    assert (shown["id"], shown["base_url"], shown["source"]) == ("box", box.base_url, "database")


def test_a_running_server_follows(run: Run, box: FakeProvider, server: Services) -> None:
    configuration = server.configuration
    run("providers", "add", "box", box.base_url, "--rpm", "7")
    assert configuration.refresh()
    (candidate,) = configuration.snapshot.candidates["box/qwen3:4b"]
    assert configuration.secret("box", candidate.key_id) is None
    assert configuration.snapshot.catalog.providers["box"].account_limits.rpm == 7

    box.models = ["gemma3:270m", "fresh:1b"]
    assert run("models", "list", "--refresh", "box", "--take-over").exit_code == 0
    assert configuration.refresh()
    snapshot = configuration.snapshot
    assert snapshot.candidates["box/qwen3:4b"] == ()
    assert "box/qwen3:4b" not in {model.ref for model in snapshot.auto}
    assert "no longer lists it" in snapshot.why_no_candidate(
        snapshot.catalog.by_ref["box/qwen3:4b"]
    )
    assert len(snapshot.candidates["box/fresh:1b"]) == 1

    run("providers", "remove", "box")
    assert configuration.refresh()
    assert "box" not in configuration.snapshot.catalog.providers


def test_a_key_goes_into_the_key_store_and_along_with_every_request(
    run: Run, box: FakeProvider, server: Services
) -> None:
    added = run("providers", "add", "box", box.base_url, "--key-stdin", stdin="s3cret-key\n")
    assert added.exit_code == 0, added.output
    assert "s3cret-key" not in added.output + run("providers", "list").output
    assert {request.headers.get("authorization") for request in box.requests} == {
        "Bearer s3cret-key"
    }
    server.configuration.refresh()
    (key,) = server.configuration.snapshot.keys["box"]
    assert server.configuration.secret("box", key.id) == "s3cret-key"
    removed = json.loads(run("providers", "remove", "box", "--json").stdout)
    assert removed["keys"] == [int(key.id)]
    assert json.loads(run("keys", "list", "--json").stdout) == []


def test_named_models_are_enough_for_an_endpoint_that_is_down(run: Run) -> None:
    url = "http://127.0.0.1:1/v1"
    assert run("providers", "add", "box", url).exit_code == 1
    assert models(run, "lab").keys() == {"lab/alpha", "lab/beta"}
    named = run("providers", "add", "box", url, "--model", "a", "--model", "b")
    assert (named.exit_code, "cannot be reached" in named.output) == (0, True)
    assert models(run, "box") == {"box/a": True, "box/b": True}


def test_named_models_and_its_own_list_together(run: Run, box: FakeProvider) -> None:
    run("providers", "add", "box", box.base_url, "--model", "mine")
    assert set(models(run, "box")) == {"box/mine"}
    run("providers", "remove", "box")
    run("providers", "add", "box", box.base_url, "--model", "qwen3:4b", "--discover")
    assert set(models(run, "box")) == {"box/gemma3:270m", "box/qwen3:4b"}


@pytest.mark.parametrize(
    ("id", "url", "complaint"),
    [
        ("groq", "http://127.0.0.1:1", "FREELLMAPI_GROQ_BASE_URL"),
        ("lab", "http://127.0.0.1:1", "already"),
        ("Box!", "http://127.0.0.1:1", "lower case"),
        ("box", "127.0.0.1:1", "no http:// or https://"),
        ("box", "http://0xA9FEA9FE/v1", "refused"),
        ("box", "http://metadata.google.internal/v1", "refused"),
        ("box", "http://me:pw@127.0.0.1:1/v1", "user name or password"),
    ],
)
def test_wrong_usage_stores_nothing(run: Run, id: str, url: str, complaint: str) -> None:
    before = run("providers", "list").output
    result = run("providers", "add", id, url, "--model", "m")
    assert (result.exit_code, complaint in result.stderr) == (2, True), result.output
    assert run("providers", "list").output == before


@pytest.mark.parametrize(
    ("id", "complaint"),
    [("groq", "built in"), ("lab", "configuration file"), ("nix", "There is no provider")],
)
def test_only_what_was_added_here_can_be_removed(run: Run, id: str, complaint: str) -> None:
    result = run("providers", "remove", id)
    assert (result.exit_code, complaint in result.stderr) == (2, True)


def test_test_says_whether_it_answers(run: Run, box: FakeProvider) -> None:
    run("providers", "add", "box", box.base_url)
    good = run("providers", "test", "box")
    assert (good.exit_code, "healthy, 3 models" in good.output) == (0, True), good.output
    asked = run("providers", "test", "box", "--model", "qwen3:4b", "--json")
    assert json.loads(asked.stdout)["status"] == "healthy"
    assert box.requests[-2].json["model"] == "qwen3:4b"
    box.routes["/v1/models"] = status(500, {})
    assert run("providers", "test", "box").exit_code == 1
    box.routes["/v1/models"] = status(401, {})
    assert json.loads(run("providers", "test", "box", "--json").stdout)["status"] == "invalid"
