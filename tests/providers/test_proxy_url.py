"""What counts as a proxy, what is said of the rest, and what is shown."""

from __future__ import annotations

import pytest

from freellmapi.providers.proxy_url import check_no_proxy, check_proxy, masked


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://proxy.lan:3128", "http://proxy.lan:3128"),
        ("proxy.lan:3128", "http://proxy.lan:3128"),
        ("HTTP://proxy.lan/", "http://proxy.lan"),
        ("http://me:p%40ss@10.0.0.1:80", "http://me:p%40ss@10.0.0.1:80"),
        ("http://me:p@ss@proxy.lan", "http://me:p@ss@proxy.lan"),
        ("http://[fd00::1]:3128", "http://[fd00::1]:3128"),
    ],
)
def test_a_proxy_is_taken(text: str, url: str) -> None:
    assert check_proxy(text) == url


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://me:s3cret@proxy.lan", "begin with http://"),
        ("socks5://me:s3cret@proxy.lan", "begin with http://"),
        ("http://", "host and port"),
        ("http://me:s3cret@", "host and port"),
        ("http://me:s3cret@proxy.lan:99999", "host and port"),
        ("http://me:s3cret@proxy.lan:0", "host and port"),
        ("http://me:s3cret/x@proxy.lan", "%2F"),
        ("http://me:s3cret@proxy.lan/path", "host and port"),
        ("http://me:s3cret@pro xy.lan", "a space"),
        ("http://me:s3cret@proxy.lan\r\nX: y", "a space or a line break"),
    ],
)
def test_another_is_refused_without_repeating_it(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        check_proxy(text)
    assert "s3cret" not in str(caught.value)


def test_hosts_that_go_without_are_parted_by_commas_or_spaces() -> None:
    found = check_no_proxy("a.example, .b.example 10.0.0.7,fd00::1 local_host")
    assert found == ("a.example", ".b.example", "10.0.0.7", "fd00::1", "local_host")
    assert check_no_proxy(" ") == ()
    assert check_no_proxy("*") == ("*",)


@pytest.mark.parametrize(
    "text", ["*.example.com", "10.0.0.0/8", "a.example:80", "http://a.example", "a.example, *"]
)
def test_what_would_never_match_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no host|alone"):
        check_no_proxy(text)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:p@ss@proxy.lan:1", "http://me:••••@proxy.lan:1"),
        ("http://me@proxy.lan", "http://me@proxy.lan"),
        ("http://proxy.lan:1", "http://proxy.lan:1"),
        (None, ""),
    ],
)
def test_a_password_is_not_shown(url: str | None, shown: str) -> None:
    assert masked(url) == shown
