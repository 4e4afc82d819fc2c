from __future__ import annotations

import pytest
import requests

from freellmapi.core.catalog import Provider
from freellmapi.providers.control import ask, control_session, in_words
from freellmapi.providers.guard import REFUSED
from freellmapi.providers.origins import Proxies
from tests.fakes.provider import FakeProvider, raw_body


def named(fake: FakeProvider) -> Provider:
    """The fake by a name, so that its address is known only after DNS."""
    return Provider("alpha", "Alpha", f"http://localhost:{fake.port}/v1")


def test_an_address_is_judged_after_dns_and_before_the_key_is_sent() -> None:
    seen: list[str] = []

    def refuses(address: str) -> bool:
        seen.append(address)
        return True

    with FakeProvider() as alpha:
        with pytest.raises(requests.ConnectionError) as caught, control_session(refuses) as session:
            ask(session, Proxies(), named(alpha), "al-key", "/models", most_bytes=9)
        assert alpha.requests == []
    assert in_words(caught.value) == REFUSED
    assert set(seen) <= {"127.0.0.1", "::1"}
    assert seen


def test_no_more_is_read_than_asked_for_and_the_key_goes_along() -> None:
    with FakeProvider() as alpha, control_session() as session:
        alpha.routes["/v1/models"] = raw_body(b"0123456789")
        answer = ask(session, Proxies(), named(alpha), "al-key", "/models", most_bytes=4)
        assert (answer.status, answer.body) == (200, b"0123")
        assert alpha.requests[0].headers["authorization"] == "Bearer al-key"


def test_a_broken_proxy_is_not_gone_around() -> None:
    proxies = Proxies(http="http://127.0.0.1:1")
    provider = Provider("far", "Far", "http://far.example/v1")
    with control_session() as session, pytest.raises(requests.exceptions.ProxyError) as caught:
        ask(session, proxies, provider, None, "/models", most_bytes=9)
    assert in_words(caught.value) == "the proxy cannot be reached"
