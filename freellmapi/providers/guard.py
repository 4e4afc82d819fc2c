"""Which addresses may be called at all: no link-local ones, no cloud metadata services.

Loopback and private ranges are allowed: a model server at home is what custom endpoints are
for. Every written form of an address is read here; names are judged again after DNS.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import urlsplit

METADATA_ADDRESSES = frozenset(
    {
        "100.100.100.200",  # Alibaba Cloud
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle Cloud
        "fd00:ec2::23",
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google Cloud
    }
)
METADATA_NAMES = frozenset(
    {
        "instance-data",
        "instance-data.ec2.internal",
        "metadata",
        "metadata.aws.internal",
        "metadata.azure.internal",
        "metadata.goog",
        "metadata.google.internal",
        "metadata.oraclecloud.com",
        "metadata.tencentyun.com",
    }
)
REFUSED = "the address is link-local or a metadata service: refused"

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_TRANSLATED = ipaddress.IPv6Network("::ffff:0:0:0/96")
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
# Where a URL copied from a client's example ends, beyond the base that paths are joined to.
_BEYOND_BASE = re.compile(r"/(chat/completions|completions|models|embeddings)$")


def check_base_url(value: object) -> str:
    """The base URL as it is kept: host in lower case, addresses in their usual form.

    Raises ``ValueError`` with a sentence; it never repeats what may be a password.
    """
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected a text that is not empty")
    url = value.strip()
    if re.search(r"[\s\\\x00-\x1f\x7f]", url):
        raise ValueError("a base URL holds no spaces, backslashes or control characters")
    try:
        parts = urlsplit(url)
        port, host, user = parts.port, parts.hostname or "", "@" in parts.netloc
    except ValueError as exc:
        raise ValueError("its host or port cannot be read") from exc
    if user:
        raise ValueError("a base URL holds no user name or password: store the key instead")
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"'{url}' is no http:// or https:// URL")
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise ValueError("a base URL ends before any '?' or '#'")
    shown = _checked_host(host)
    place = shown if port is None else f"{shown}:{port}"
    return f"{parts.scheme}://{place}{parts.path}".rstrip("/")


def without_endpoint(url: str) -> str:
    """``url`` without the path of one endpoint, such as ``/chat/completions``, at its end."""
    return _BEYOND_BASE.sub("", url.rstrip("/"))


def is_refused_address(address: str) -> bool:
    """Whether an IP address is link-local or a metadata service: no provider lives there."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return any(a.is_link_local or str(a) in METADATA_ADDRESSES for a in _meanings(ip))


def is_public_address(address: str) -> bool:
    """Whether an IP address is on the public internet, whatever it carries inside.

    Stricter than ``is_refused_address``: for addresses that strangers name.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return not is_refused_address(address) and all(map(_is_public, _meanings(ip)))


def _is_public(ip: IPAddress) -> bool:
    if ip in _NAT64[0]:
        return True  # How a network without IPv4 reaches an IPv4 address: that is what counts.
    special = ip.is_multicast or ip.is_reserved or ip.is_unspecified
    return ip.is_global and not special and not getattr(ip, "is_site_local", False)


def _checked_host(host: str) -> str:
    """A host as a URL has it; ``ValueError`` for one that is refused or unreadable."""
    # Resolvers fold full-width digits and dots into plain ones (IDNA), so we do first.
    plain = unicodedata.normalize("NFKC", host).replace("。", ".").lower().rstrip(".")
    if ":" in plain:
        return f"[{_allowed(_ipv6(plain))}]"
    numbers = _as_ipv4(plain)
    if numbers is not None:
        return _allowed(numbers)
    if plain in METADATA_NAMES:
        raise ValueError(REFUSED)
    ascii_name = _ascii(plain)
    if len(ascii_name) > 253 or not _NAME.fullmatch(ascii_name):
        raise ValueError("its host is no name or address")
    return ascii_name


def _ascii(name: str) -> str:
    try:
        return name.encode("idna").decode()
    except UnicodeError as exc:
        # A label of two dashes or underscores is no IDNA name, but resolves on a LAN.
        if name.isascii() and ".." not in name and name:
            return name
        raise ValueError("its host is no name or address") from exc


def _ipv6(text: str) -> str:
    if "%" in text:
        raise ValueError(REFUSED)  # Only link-local addresses need a zone.
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError as exc:
        raise ValueError("its host is no IPv6 address") from exc


def _as_ipv4(host: str) -> str | None:
    """The address that a resolver makes of ``2852039166``, ``0xA9.254.43518`` and the like.

    One to four numbers, decimal, octal or hexadecimal, the last one filling what is left
    (inet_aton). None for a name; ``ValueError`` when the last part is a number but the
    whole is no address, which no top-level domain is.
    """
    parts = host.split(".")
    if not _NUMBER.fullmatch(parts[-1]):
        return None
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        raise ValueError("its host is no IPv4 address")
    try:
        *first, last = [_number(part) for part in parts]
    except ValueError as exc:
        raise ValueError("its host is no IPv4 address") from exc
    if any(n > 255 for n in first) or last >= 256 ** (4 - len(first)):
        raise ValueError("its host is no IPv4 address")
    value = last + sum(n << (24 - 8 * place) for place, n in enumerate(first))
    return str(ipaddress.IPv4Address(value))


def _number(text: str) -> int:
    if text[:2].lower() == "0x":
        return int(text[2:] or "0", 16)
    return int(text, 8) if text.startswith("0") else int(text)


def _allowed(address: str) -> str:
    if is_refused_address(address):
        raise ValueError(REFUSED)
    return address


def _meanings(ip: IPAddress) -> Iterator[IPAddress]:
    """The address, and the IPv4 ones that an IPv6 one carries inside."""
    yield ip
    if not isinstance(ip, ipaddress.IPv6Address):
        return
    yield from filter(None, (ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())))
    if any(ip in network for network in (_IPV4_COMPATIBLE, _TRANSLATED, *_NAT64)):
        yield ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
