"""Images on their way through the loop: fetched for those that do not, once for all attempts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from freellmapi.core.catalog import Quirks
from freellmapi.core.chat import ChatRequest, Need
from freellmapi.core.errors import ErrorKind
from freellmapi.providers.images import Images
from tests.fakes.provider import FakeProvider, SeenRequest, raw_body, says, status
from tests.router.conftest import Lab, model, provider, snapshot

BLIND = Quirks(flags=frozenset({"inline_images"}))
PNG = b"\x89PNG\r\n\x1a\n"
DATA_URL = "data:image/png;base64,iVBORw0KGgo="


def showing(url: str) -> ChatRequest:
    content = [{"type": "image_url", "image_url": {"url": url}}]
    body = {"messages": [{"role": "user", "content": content}]}
    return ChatRequest("auto", body, needs=frozenset({Need.VISION}), prompt_tokens=10)


def lab_of(labs: list[Lab], *seen: tuple[str, FakeProvider, Quirks], public: bool) -> Lab:
    lab = Lab(
        snapshot(
            *(model(name, vision=True) for name, _, _ in seen),
            providers=[provider(name, fake.base_url, quirks=quirks) for name, fake, quirks in seen],
        )
    )
    images = Images(lab.clock, is_public=lambda address: public)
    lab.tools = replace(lab.tools, inlined=images.inlined)
    labs.append(lab)
    return lab


def url_in(request: SeenRequest) -> Any:
    return request.json["messages"][0]["content"][0]["image_url"]["url"]


def test_each_gets_the_image_as_it_takes_it_and_it_is_fetched_once(labs: list[Lab]) -> None:
    with FakeProvider() as alpha, FakeProvider() as beta, FakeProvider() as gamma:
        alpha.script = [status(503)]
        alpha.routes = {"/v1/a.png": raw_body(PNG, "image/png")}
        beta.script, gamma.script = [status(503)], [says("a cat")]
        url = f"{alpha.base_url}/a.png"
        seen = ("alpha", alpha, BLIND), ("beta", beta, BLIND), ("gamma", gamma, Quirks())
        outcome = lab_of(labs, *seen, public=True).run(showing(url))

        assert outcome.completion is not None
        asked = [r for r in alpha.requests if r.method == "POST"]
        assert [url_in(asked[0]), url_in(beta.requests[0])] == [DATA_URL, DATA_URL]
        assert url_in(gamma.requests[0]) == url
        assert [r.path for r in alpha.requests].count("/v1/a.png") == 1


def test_what_we_must_not_fetch_goes_to_one_that_fetches_itself(labs: list[Lab]) -> None:
    with FakeProvider() as alpha, FakeProvider() as beta:
        beta.script = [says("a cat")]
        url = "http://127.0.0.1:9/private.png"
        seen = ("alpha", alpha, BLIND), ("beta", beta, Quirks())
        outcome = lab_of(labs, *seen, public=False).run(showing(url))

        assert [a.error for a in outcome.attempts] == [ErrorKind.REQUEST_REFUSED, None]
        assert "127.0.0.1" in outcome.attempts[0].message
        assert alpha.requests == []
        assert url_in(beta.requests[0]) == url
