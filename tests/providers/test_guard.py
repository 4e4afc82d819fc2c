"""Base URLs in every disguise; what the addresses behind them may be."""

from __future__ import annotations

import pytest

from freellmapi.core.errors import SettingsError
from freellmapi.providers.catalog import CatalogError, load_catalog, with_base_urls, with_custom
from freellmapi.providers.guard import check_base_url, is_refused_address, without_endpoint
from freellmapi.settings import Settings

METADATA_HOSTS = (
    "169.254.169.254",
    "169.254.169.254.",
    "169.254.1.1",
    "2852039166",
    "0251.0376.0251.0376",
    "0251.254.169.254",
    "0xA9FEA9FE",
    "0xa9.0xfe.0xa9.0xfe",
    "025177524776",
    "169.254.43518",
    "169.16689662",
    "１６９.２５４.１６９.２５４",
    "①⑥⑨.②⑤④.①⑥⑨.②⑤④",
    "169。254。169。254",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::169.254.169.254]",
    "[0:0:0:0:0:ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[::ffff:0:a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:a9fe:a9fe::]",
    "[fd00:ec2::254]",
    "[FD00:EC2:0::254]",
    "[fd20:ce::254]",
    "100.100.100.200",
    "168.63.129.16",
    "metadata.google.internal",
    "Metadata.Google.Internal.",
    "metadata",
    "instance-data",
)


@pytest.mark.parametrize("host", METADATA_HOSTS)
@pytest.mark.parametrize("form", ["http://{}", "https://{}:8443/latest/v1", "HTTP://{}/"])
def test_link_local_and_metadata_addresses_are_refused_in_every_form(host: str, form: str) -> None:
    with pytest.raises(ValueError, match="refused"):
        check_base_url(form.format(host))


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://LLM.example.com/V1/", "https://llm.example.com/V1"),
        ("HTTP://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("http://localhost:11434", "http://localhost:11434"),
        ("http://192.168.1.7:1234/v1", "http://192.168.1.7:1234/v1"),
        ("http://10.0.0.5/v1", "http://10.0.0.5/v1"),
        ("http://127.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("http://[fd12:3456::7]/v1", "http://[fd12:3456::7]/v1"),
        ("http://gpu_box.lan./v1", "http://gpu_box.lan/v1"),
        ("http://0.0.0.0:8000/v1", "http://0.0.0.0:8000/v1"),
        ("http://host.docker.internal:1234/v1", "http://host.docker.internal:1234/v1"),
        ("https://bücher.example/v1", "https://xn--bcher-kva.example/v1"),
        ("  https://llm.example.com/v1\n", "https://llm.example.com/v1"),
        ("http://x/accounts/{account_id}/ai/v1", "http://x/accounts/{account_id}/ai/v1"),
    ],
)
def test_an_address_of_ones_own_is_kept_in_its_usual_form(url: str, kept: str) -> None:
    assert check_base_url(url) == kept


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "not empty"),
        (None, "not empty"),
        ("ftp://x/v1", "'ftp://x/v1' is no http"),
        ("file:///etc/passwd", "no http"),
        ("localhost:8000", "no http"),
        ("http:///v1", "no http"),
        ("http://x:99999/v1", "port"),
        ("http://x:y/v1", "port"),
        ("http://[::1/v1", "host or port"),
        ("http://[::zz]/v1", "IPv6|cannot be read"),
        ("http://x/v1?key=1", "before any"),
        ("http://x/v1#a", "before any"),
        ("http://x/v1?", "before any"),
        ("http://a b/v1", "spaces"),
        ("http://x\\@169.254.169.254/", "backslashes"),
        ("http://x/\r\nHost: y", "control"),
        ("http://256.1.1.1/v1", "IPv4"),
        ("http://1.2.3.4.5/v1", "IPv4"),
        ("http://08.1.1.1/v1", "IPv4"),
        ("http://llm.example.1/v1", "IPv4"),
        ("http://a..b/v1", "no name"),
        ("http://%31%36%39.254.169.254.x/", "no name"),
    ],
)
def test_what_is_no_base_url_is_named(url: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        check_base_url(url)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="user name or password") as caught:
        check_base_url("https://me:hunter2@llm.example.com/v1")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("169.254.169.254", True),
        ("fe80::1%eth0", True),
        ("::ffff:169.254.0.1", True),
        ("fd00:ec2::254", True),
        ("2001:0:a9fe:a9fe::", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("::1", False),
        ("8.8.8.8", False),
        ("not an address", False),
    ],
)
def test_an_address_after_dns(address: str, refused: bool) -> None:
    assert is_refused_address(address) is refused


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://x/v1/chat/completions", "http://x/v1"),
        ("http://x/v1/models/", "http://x/v1"),
        ("http://x/v1", "http://x/v1"),
        ("http://x/models-of-mine", "http://x/models-of-mine"),
    ],
)
def test_the_path_of_an_endpoint_is_no_part_of_the_base(url: str, base: str) -> None:
    assert without_endpoint(url) == base


def test_every_way_of_stating_a_base_url_is_guarded() -> None:
    bad = "http://0xA9FEA9FE/v1"
    with pytest.raises(CatalogError, match=r"providers\[lab\]\.base_url: .*refused"):
        with_custom(load_catalog(), {"lab": {"base_url": bad}})
    with pytest.raises(CatalogError, match=r"providers\[groq\]\.base_url: .*refused"):
        with_custom(load_catalog(), {"groq": {"base_url": bad}})
    with pytest.raises(CatalogError, match="refused"):
        with_base_urls(load_catalog(), {"groq": bad})
    with pytest.raises(SettingsError, match=r"FREELLMAPI_GROQ_BASE_URL: .*refused"):
        Settings.from_env({"FREELLMAPI_GROQ_BASE_URL": bad})
