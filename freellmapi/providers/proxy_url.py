"""Proxies as people write them: checked, and shown without the password."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

HIDDEN = "••••"
"""What stands in a shown URL where its password is."""
EXAMPLE = "http://proxy.example:3128"

_NAME = re.compile(r"\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def check_proxy(text: str) -> str:
    """The URL; ``host:port`` is taken for http. ``ValueError`` says why, never what was given."""
    url = text if "://" in text else f"http://{text}"
    if not url.lower().startswith("http://"):
        raise ValueError(
            f"This must begin with http://, such as {EXAMPLE}: an HTTP proxy tunnels https too."
        )
    if any(c.isspace() or not c.isprintable() for c in url):
        raise ValueError("There is a space or a line break in it.")
    parts = _split(url)
    if parts is None or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(
            f"Write host and port alone, such as {EXAMPLE}. In a password, / is %2F, # is %23, "
            "? is %3F and @ is %40."
        )
    return f"http://{parts.netloc}"


def check_no_proxy(text: str) -> tuple[str, ...]:
    """The names, which commas or spaces part; ``ValueError`` names one that would never match."""
    names = tuple(text.replace(",", " ").split())
    for name in names:
        if name == "*" and len(names) > 1:
            raise ValueError("* stands for every host: write it alone.")
        if name != "*" and not _NAME.fullmatch(name) and not _is_address(name):
            raise ValueError(
                f"{name[:60]} is no host, domain or address. Patterns, ranges and ports are not "
                "known here; example.com stands for its subdomains too."
            )
    return names


def masked(url: str | None) -> str:
    """The URL with its password hidden; empty for none."""
    if not url:
        return ""
    login, at, host = urlsplit(url).netloc.rpartition("@")
    user, colon, _ = login.partition(":")
    return f"http://{user}{f':{HIDDEN}' if colon else ''}{at}{host}"


def _split(url: str) -> SplitResult | None:
    """The parts of a URL with a host; None when there is none or its port is no port."""
    try:
        parts = urlsplit(url)
        usable = parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return parts if usable else None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
