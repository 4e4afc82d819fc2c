"""Where a call goes and with what secret."""

from __future__ import annotations

from typing import Any

import pytest

from freellmapi.core.catalog import Provider
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.providers.endpoints import Endpoints, endpoint

URL = "https://api.test/v1"


def provider(**fields: Any) -> Provider:
    return Provider("alpha", "Alpha", fields.pop("base_url", URL), **fields)


@pytest.mark.parametrize(
    ("fields", "secret", "headers"),
    [
        ({}, "s", {"Authorization": "Bearer s"}),
        (
            {"auth_header": "x-goog-api-key", "auth_format": "{key}"},
            "s",
            {"x-goog-api-key": "s"},
        ),
        ({"headers": {"X-Title": "t"}}, "s", {"X-Title": "t", "Authorization": "Bearer s"}),
        ({"anonymous_key": "anon"}, None, {"Authorization": "Bearer anon"}),
        ({"anonymous_key": "anon"}, "s", {"Authorization": "Bearer s"}),
        ({}, None, {}),
        ({"auth_header": ""}, "s", {}),
        ({}, "with {key} and {braces}", {"Authorization": "Bearer with {key} and {braces}"}),
    ],
    ids=[
        "bearer",
        "own header",
        "more headers",
        "anonymous",
        "own key",
        "none",
        "no auth",
        "braces",
    ],
)
def test_the_secret_goes_where_the_provider_wants_it(
    fields: dict[str, Any], secret: str | None, headers: dict[str, str]
) -> None:
    found = endpoint(provider(**fields), secret)
    assert (found.base_url, dict(found.headers)) == (URL, headers)


def test_a_key_of_several_parts_fills_the_url() -> None:
    cloud = provider(
        base_url="https://api.test/accounts/{account}/ai", key_fields=("account", "token")
    )
    found = endpoint(cloud, "a/../b:tok:en")
    assert found.base_url == "https://api.test/accounts/a%2F..%2Fb/ai"
    assert found.headers["Authorization"] == "Bearer tok:en"


def test_half_a_key_is_a_rejected_one_and_is_not_shown() -> None:
    with pytest.raises(UpstreamError) as caught:
        endpoint(provider(key_fields=("account", "token")), "only-half")
    assert caught.value.kind is ErrorKind.KEY_REJECTED
    assert "only-half" not in caught.value.message


def test_the_secret_is_not_in_the_repr() -> None:
    assert "hush" not in repr(endpoint(provider(), "hush"))


class Keys:
    def secret(self, provider: str, key_id: str) -> str | None:
        return f"{provider}-{key_id}"


class Local:
    key = "local-key"

    def base_url(self) -> str:
        return "http://127.0.0.1:4321/v1"


def test_a_candidates_key_is_looked_up_for_the_call() -> None:
    found = Endpoints(Keys(), {"local": Local()}).of(provider(), "7")
    assert found.headers["Authorization"] == "Bearer alpha-7"


def test_a_server_of_our_own_says_where_it_is() -> None:
    found = Endpoints(Keys(), {"alpha": Local()}).of(provider(base_url=""), "anonymous")
    assert found.base_url == "http://127.0.0.1:4321/v1"
    assert found.headers["Authorization"] == "Bearer local-key"
