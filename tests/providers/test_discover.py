from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import requests_mock

from freellmapi.core.catalog import Provider
from freellmapi.providers.catalog import load_catalog
from freellmapi.providers.control import control_session
from freellmapi.providers.discover import Discoverer, DiscoveryError
from freellmapi.providers.origins import Proxies
from tests.fakes.clock import FrozenClock
from tests.fakes.provider import FakeProvider, raw_body, status

URL = "mock://alpha.example/v1"
ALPHA = Provider("alpha", "Alpha", URL)


@pytest.fixture
def upstream() -> requests_mock.Adapter:
    return requests_mock.Adapter()


@pytest.fixture
def discoverer(upstream: requests_mock.Adapter) -> Discoverer:
    session = requests.Session()
    session.mount("mock://", upstream)
    session.mount("https://", upstream)
    return Discoverer(FrozenClock(), Proxies(), session)


@pytest.fixture
def real() -> Iterator[Discoverer]:
    discoverer = Discoverer(FrozenClock(), Proxies())
    yield discoverer
    discoverer.close()


def ids(*names: str) -> dict[str, Any]:
    return {"data": [{"id": name} for name in names]}


def test_the_list_is_asked_for_with_the_key(
    discoverer: Discoverer, upstream: requests_mock.Adapter
) -> None:
    upstream.register_uri("GET", f"{URL}/models", json=ids("a", "b"))
    assert [m.id for m in discoverer.models(ALPHA, "al-key")] == ["a", "b"]
    assert upstream.last_request is not None
    assert upstream.last_request.headers["Authorization"] == "Bearer al-key"


def test_pages_are_followed_to_the_end(
    discoverer: Discoverer, upstream: requests_mock.Adapter
) -> None:
    google = load_catalog().providers["google"]
    first = {"models": [{"name": "models/a"}], "nextPageToken": "t/2"}
    upstream.register_uri("GET", f"{google.base_url}/models?pageSize=1000", json=first)
    last = {"models": [{"name": "models/b"}]}
    upstream.register_uri("GET", f"{google.base_url}/models?pageSize=1000&pageToken=t/2", json=last)
    assert [m.id for m in discoverer.models(google, "k")] == ["a", "b"]


def test_a_page_that_fails_is_no_answer_at_all(
    discoverer: Discoverer, upstream: requests_mock.Adapter
) -> None:
    page = {"models": [{"name": "a"}], "nextPageToken": "2"}
    upstream.register_uri("GET", f"{URL}/models", json=page)
    upstream.register_uri("GET", f"{URL}/models?pageToken=2", status_code=500, json={})
    with pytest.raises(DiscoveryError, match="status 500"):
        discoverer.models(ALPHA, None)


def test_pages_without_end_are_given_up(
    discoverer: Discoverer, upstream: requests_mock.Adapter
) -> None:
    page = {"models": [{"name": "a"}], "nextPageToken": "again"}
    upstream.register_uri("GET", f"{URL}/models", json=page)
    with pytest.raises(DiscoveryError, match="more than 20 pages"):
        discoverer.models(ALPHA, None)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ({"json": {"data": []}}, "empty"),
        ({"json": {"error": "no"}}, "no list"),
        ({"text": "<html>"}, "not JSON"),
        ({"status_code": 401, "json": {}}, "status 401"),
        ({"status_code": 302, "headers": {"Location": "http://x"}}, "redirect"),
        ({"exc": requests.ConnectTimeout}, "too long"),
        ({"exc": requests.ConnectionError}, "cannot be reached"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_definite_answer_is_an_error(
    discoverer: Discoverer, upstream: requests_mock.Adapter, answer: dict[str, Any], complaint: str
) -> None:
    upstream.register_uri("GET", f"{URL}/models", **answer)
    with pytest.raises(DiscoveryError, match=complaint):
        discoverer.models(ALPHA, "k")
    assert upstream.call_count == 1


def test_a_provider_without_a_list_is_not_asked(discoverer: Discoverer) -> None:
    with pytest.raises(DiscoveryError, match="no model list"):
        discoverer.models(load_catalog().providers["pollinations"], None)


def test_a_key_that_lacks_a_part_is_told_of(discoverer: Discoverer) -> None:
    with pytest.raises(DiscoveryError, match="account_id"):
        discoverer.models(load_catalog().providers["cloudflare"], "token")


def bare(fake: FakeProvider, path: str = "") -> Provider:
    return Provider("lab", "Lab", f"http://127.0.0.1:{fake.port}{path}", status="user")


def only_below_v1(fake: FakeProvider) -> None:
    """As Ollama: ``/v1/models`` is OpenAI's, ``/models`` is nothing."""
    fake.routes["/models"] = status(404, "404 page not found")


@pytest.mark.parametrize(
    ("path", "base", "note"),
    [
        ("", "/v1", "/v1 added"),
        ("/v1", "/v1", ""),
        ("/v1/chat/completions", "/v1", "the base URL is"),
        ("/v1/models", "/v1", "the base URL is"),
    ],
)
def test_an_endpoint_is_found_below_v1(real: Discoverer, path: str, base: str, note: str) -> None:
    with FakeProvider(models=["gemma3:270m"]) as lab:
        only_below_v1(lab)
        found = real.locate(bare(lab, path), None)
        assert found.base_url == f"http://127.0.0.1:{lab.port}{base}"
        assert found.note.startswith(note)
        assert bool(found.note) is bool(note)
        assert [m.id for m in found.listed] == ["gemma3:270m"]


def test_a_gateway_with_a_path_of_its_own_stays_there(real: Discoverer) -> None:
    with FakeProvider() as lab:
        lab.routes["/openai/v1/models"] = status(404, {})
        found = real.locate(bare(lab, "/openai"), None)
        assert (found.base_url, found.note) == (f"http://127.0.0.1:{lab.port}/openai", "")
        assert found.listed


def test_a_list_that_wants_a_key_shows_where_the_endpoint_is(real: Discoverer) -> None:
    with FakeProvider() as lab:
        only_below_v1(lab)
        lab.routes["/v1/models"] = status(401, {"error": "Unauthorized"})
        found = real.locate(bare(lab), None)
        assert found.base_url.endswith("/v1")
        assert "401" in found.problem


def test_an_endpoint_that_is_down_stays_as_it_was_given(real: Discoverer) -> None:
    lab = Provider("lab", "Lab", "http://127.0.0.1:1", status="user")
    found = real.locate(lab, None)
    assert (found.base_url, found.listed, found.note) == (lab.base_url, (), "")
    assert "cannot be reached" in found.problem


def test_a_name_that_means_a_refused_address_is_sent_nothing() -> None:
    """The dashboard's door: the address is judged once the connection stands (here a harmless
    one is refused, since no refused one may be called)."""
    guarded = Discoverer(FrozenClock(), Proxies(), control_session(lambda a: a == "127.0.0.1"))
    with FakeProvider() as lab:
        url = f"http://localhost:{lab.port}/v1"
        with pytest.raises(DiscoveryError, match="refused"):
            guarded.models(Provider("lab", "Lab", url), "a-key-of-mine")
        assert lab.requests == []
    guarded.close()


def test_only_as_much_as_a_list_can_be_is_read(real: Discoverer) -> None:
    with FakeProvider() as lab:
        lab.routes["/v1/models"] = raw_body(b'["' + b"x" * (17 * 1024 * 1024) + b'"]')
        with pytest.raises(DiscoveryError, match="not JSON"):
            real.models(bare(lab, "/v1"), None)
