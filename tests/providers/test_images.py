from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping

import pytest

from freellmapi.core.catalog import Model, Provider, Quirks
from freellmapi.core.chat import ChatRequest, Need
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.providers.guard import is_public_address
from freellmapi.providers.image_fetch import MAX_IMAGE_BYTES
from freellmapi.providers.image_memory import MOST_CHARACTERS, ImageMemory
from freellmapi.providers.images import Images
from freellmapi.providers.origins import Proxies
from tests.fakes.clock import FrozenClock
from tests.fakes.provider import FakeProvider, raw_body, status

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"
KINDS = [
    ("image/png", PNG),
    ("image/jpeg", b"\xff\xd8\xff\xe0JFIF"),
    ("image/gif", b"GIF89a..."),
    ("image/webp", b"RIFF\x10\0\0\0WEBPVP8 "),
]
GOOGLE = Provider("google", "Google", "https://google.test", wire="gemini")
GROQ = Provider("groq", "Groq", "https://groq.test")
OLLAMA = Provider(
    "ollama", "Ollama", "https://o.test", quirks=Quirks(flags=frozenset({"inline_images"}))
)
LAB = Provider("lab", "Lab", "http://127.0.0.1:8000/v1", local=True)


@pytest.fixture
def site() -> Iterator[FakeProvider]:
    with FakeProvider() as server:
        server.default = raw_body(PNG, "image/png")
        yield server


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(1_790_000_000)


@pytest.fixture
def images(clock: FrozenClock) -> Images:
    """Images for which this machine stands for the public internet."""
    return Images(clock, is_public=lambda address: address == "127.0.0.1")


def asking(*urls: str) -> ChatRequest:
    parts = [{"type": "image_url", "image_url": {"url": u, "detail": "low"}} for u in urls]
    content = [{"type": "text", "text": "What?"}, *parts]
    body = {"messages": [{"role": "user", "content": content}, {"role": "user", "content": "?"}]}
    return ChatRequest("auto", body, needs=frozenset({Need.VISION}))


def urls_of(chat: ChatRequest) -> list[str]:
    return [p["image_url"]["url"] for p in chat.body["messages"][0]["content"][1:]]


def sent(images: Images, *urls: str, provider: Provider = GOOGLE) -> list[str]:
    return urls_of(images.inlined(asking(*urls), provider, model_of(provider)))


def model_of(provider: Provider) -> Model:
    return Model(provider.id, "m", "M", "m", vision=True)


def refusal(images: Images, url: str) -> str:
    with pytest.raises(UpstreamError) as caught:
        sent(images, url)
    assert caught.value.kind is ErrorKind.REQUEST_REFUSED
    return caught.value.message


@pytest.mark.parametrize(("kind", "data"), KINDS, ids=[k[0] for k in KINDS])
def test_a_public_image_becomes_a_data_url(
    site: FakeProvider, images: Images, kind: str, data: bytes
) -> None:
    site.script = [raw_body(data, f"{kind}; charset=binary")]
    given = asking(f"{site.base_url}/a")
    made = images.inlined(given, GOOGLE, model_of(GOOGLE))
    part = made.body["messages"][0]["content"][1]
    expected = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    assert part == {"type": "image_url", "image_url": {"url": expected, "detail": "low"}}
    assert urls_of(given) == [f"{site.base_url}/a"], "the request itself is shared"
    assert made.body["messages"][1] is given.body["messages"][1]


def test_the_fetch_says_who_asks_and_carries_nothing_else(
    site: FakeProvider, images: Images
) -> None:
    site.script = [raw_body(PNG, "image/png", Set_Cookie="a=1")]
    sent(images, f"{site.base_url}/a", f"{site.base_url}/b")
    for request in site.requests:
        assert request.method == "GET"
        assert not {"cookie", "authorization", "referer"} & request.headers.keys()
        assert request.headers["user-agent"].startswith("freellmapi/")


@pytest.mark.parametrize("provider", [GOOGLE, OLLAMA, LAB], ids=lambda p: p.id)
def test_those_that_fetch_nothing_get_the_image(
    site: FakeProvider, images: Images, provider: Provider
) -> None:
    assert sent(images, f"{site.base_url}/a", provider=provider)[0].startswith("data:image/png")


def test_those_that_fetch_themselves_get_the_url(site: FakeProvider, images: Images) -> None:
    chat = asking(f"{site.base_url}/a")
    assert images.inlined(chat, GROQ, model_of(GROQ)) is chat
    assert site.requests == []


def test_data_urls_and_requests_without_images_stay_as_they_are(images: Images) -> None:
    chat = asking("data:image/png;base64,QQ==")
    assert images.inlined(chat, GOOGLE, model_of(GOOGLE)) is chat
    plain = ChatRequest("auto", {"messages": [{"role": "user", "content": "Hi"}]})
    assert images.inlined(plain, GOOGLE, model_of(GOOGLE)) is plain


def test_an_image_is_fetched_once_for_several_attempts(
    site: FakeProvider, images: Images, clock: FrozenClock
) -> None:
    url = f"{site.base_url}/a"
    sent(images, url, url)
    sent(images, url, provider=OLLAMA)
    assert len(site.requests) == 1
    clock.advance(301)
    sent(images, url)
    assert len(site.requests) == 2


def test_a_failure_is_remembered_for_a_moment(
    site: FakeProvider, images: Images, clock: FrozenClock
) -> None:
    site.script = [status(404)]
    url = f"{site.base_url}/a?token=hidden"
    for _ in range(2):
        assert refusal(images, url) == (
            "The image on 127.0.0.1 was not fetched: it answers with status 404."
        )
    assert len(site.requests) == 1
    clock.advance(21)
    assert sent(images, url)[0].startswith("data:")


@pytest.mark.parametrize(
    ("kind", "data", "headers", "why"),
    [
        ("text/html", b"<html>", {}, "no PNG"),
        ("image/svg+xml", b"<svg>", {}, "no PNG"),
        ("", PNG, {}, "no PNG"),
        ("image/jpeg", PNG, {}, "not the image/jpeg that it claims"),
        ("image/png", b"<html>", {}, "not the image/png that it claims"),
        ("image/png", b"", {}, "or empty"),
        ("image/png", PNG, {"Content_Encoding": "gzip"}, "compressed"),
    ],
)
def test_what_is_no_image_is_refused(
    site: FakeProvider,
    images: Images,
    kind: str,
    data: bytes,
    headers: Mapping[str, str],
    why: str,
) -> None:
    site.script = [raw_body(data, kind, 200, None, **headers)]
    assert why in refusal(images, f"{site.base_url}/a")


@pytest.mark.parametrize("chunked", [False, True], ids=["stated", "not stated"])
def test_an_image_has_a_largest_size(site: FakeProvider, images: Images, chunked: bool) -> None:
    site.script = [raw_body(PNG + bytes(MAX_IMAGE_BYTES), "image/png", chunked=chunked)]
    assert "larger than 10 MB" in refusal(images, f"{site.base_url}/a")


def test_images_together_have_a_largest_size(site: FakeProvider, images: Images) -> None:
    site.default = raw_body(PNG + bytes(7 * 1024 * 1024), "image/png")
    with pytest.raises(UpstreamError, match="more than 20 MB together"):
        sent(images, *(f"{site.base_url}/{n}" for n in range(3)))


def test_time_for_all_images_is_bounded(site: FakeProvider, clock: FrozenClock) -> None:
    def slow(address: str) -> bool:
        clock.advance(4)
        return True

    images = Images(clock, is_public=slow)
    with pytest.raises(UpstreamError, match="took too long"):
        sent(images, f"{site.base_url}/b", f"{site.base_url}/c")


# Redirects


def test_redirects_are_followed_thrice(site: FakeProvider, images: Images) -> None:
    hops = [status(302, b"", Location=f"/{n}") for n in range(3)]
    site.script = [*hops, raw_body(PNG, "image/png")]
    assert sent(images, f"{site.base_url}/a")[0].startswith("data:image/png")
    assert [r.path for r in site.requests] == ["/v1/a", "/0", "/1", "/2"]
    site.script = [status(302, b"", Location="/x") for _ in range(4)]
    assert "redirects too often" in refusal(images, f"{site.base_url}/b")


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://127.0.0.2:1/secret", "not a public one"),
        ("http://169.254.169.254/latest/meta-data", "not a public one"),
        ("file:///etc/passwd", "not on http"),
        ("gopher://127.0.0.1/x", "not on http"),
        ("http://user:pw@127.0.0.1/x", "user name"),
    ],
)
def test_each_redirect_is_checked_anew(
    site: FakeProvider, images: Images, location: str, why: str
) -> None:
    site.script = [status(302, b"", Location=location)]
    assert why in refusal(images, f"{site.base_url}/a")


# Addresses

PRIVATE = """
    127.0.0.1 127.1 2130706433 0x7f000001 0x7f.1 017700000001 0177.0.0.1 0 localhost
    localhost. 10.0.0.1 192.168.1.1 172.16.0.1 169.254.169.254 2852039166 0xA9FEA9FE 100.64.0.1
    100.100.100.200 168.63.129.16 192.0.0.192 0.0.0.0 255.255.255.255 224.0.0.1 198.18.0.1
    [::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:a9fe:a9fe] [::127.0.0.1]
    [64:ff9b::7f00:1] [64:ff9b::a9fe:a9fe] [64:ff9b:1::1] [2002:7f00:1::] [fd00:ec2::254]
    [fe80::1] [fec0::1] [ff02::1]
""".split()


@pytest.mark.parametrize("host", PRIVATE)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_private_address_in_any_encoding(clock: FrozenClock, scheme: str, host: str) -> None:
    told = refusal(Images(clock), f"{scheme}://{host}:9/x")
    assert "not a public one" in told or "cannot be found" in told
    assert host.strip("[]").lower() in told


def test_no_byte_reaches_an_address_that_changed_after_the_check(
    site: FakeProvider, clock: FrozenClock
) -> None:
    """DNS that answers differently the second time: the first look finds nothing wrong."""
    looks = iter([True, False])
    images = Images(clock, is_public=lambda address: next(looks))
    assert "not a public one" in refusal(images, f"{site.base_url}/a")
    assert site.requests == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("64:ff9b::808:808", True),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("fe80::1%eth0", False),
        ("not an address", False),
        ("", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public_address(address) is public


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.com/a.png", "not on http"),
        ("http://[::1/a", "cannot be read"),
        ("http://127.0.0.1:99999/a", "cannot be read"),
        ("http:///a", "not on http"),
        ("http://user@127.0.0.1/a", "user name"),
        ("http://127.0.0.1:1/a", "cannot be reached"),
        ("http://" + "a" * 300 + ".test/", "cannot be found"),
    ],
)
def test_odd_urls_are_refused(images: Images, url: str, why: str) -> None:
    assert why in refusal(images, url)


def test_nothing_is_fetched_past_a_proxy(site: FakeProvider, clock: FrozenClock) -> None:
    images = Images(clock, Proxies(http=site.base_url), lambda address: True)
    assert "outbound proxy" in refusal(images, "http://images.test/a.png")
    assert site.requests == []


def test_an_endpoint_at_home_may_reach_what_we_must_not(clock: FrozenClock) -> None:
    url = "http://192.168.1.5/camera.jpg"
    assert sent(Images(clock), url, provider=LAB) == [url]


def test_environment_proxies_are_not_read(
    site: FakeProvider, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    assert sent(images, f"{site.base_url}/a")[0].startswith("data:")


def test_the_memory_is_bounded(clock: FrozenClock) -> None:
    memory = ImageMemory(clock)
    for number in range(300):
        memory.keep(f"u{number}", "d", "")
    assert memory.of("u0") is None
    assert memory.of("u299") == ("d", "")
    memory.keep("big", "x" * MOST_CHARACTERS, "")
    assert memory.of("u299") is None
