"""How the program is set up from outside: the only module that reads the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import field
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from types import MappingProxyType

from freellmapi.core.errors import SettingsError
from freellmapi.core.values import dataclass
from freellmapi.providers.guard import check_base_url
from freellmapi.providers.proxy_url import EXAMPLE, check_proxy

_ROOT = Path(__file__).resolve().parent.parent
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_FORMATS = ("text", "json")
_SYNCS = ("normal", "full")
_BASE_URL = re.compile(r"FREELLMAPI_([A-Z0-9_]+)_BASE_URL")
_ORIGIN = re.compile(
    r"[a-z][a-z0-9+.-]*://[a-z0-9.-]+(:[0-9]{1,5})?|[a-z]+://\[[0-9a-f:.]+\](:[0-9]{1,5})?"
)

Network = IPv4Network | IPv6Network

VARIABLES = (
    "ENCRYPTION_KEY",
    "HOST",
    "PORT",
    "DATABASE_URL",
    "FREELLMAPI_DATA_DIR",
    "REDIS_URL",
    "WEB_CONCURRENCY",
    "FREELLMAPI_CONFIG",
    "FREELLMAPI_LOCAL_MODEL",
    "FREELLMAPI_LOG_FORMAT",
    "FREELLMAPI_LOG_LEVEL",
    "FREELLMAPI_MAX_PER_TOKEN",
    "FREELLMAPI_SYNC",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "TRUSTED_PROXIES",
    "CORS_ORIGINS",
)
"""Every variable read by a fixed name; docs/configuration.md describes each."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All that the environment says, checked. ``repr`` shows nothing secret."""

    data_dir: Path
    database_url: str = field(repr=False)
    """A SQLAlchemy URL; it may hold a password."""
    encryption_key: str | None = field(default=None, repr=False)
    """As it was written, not yet checked; None when there is none."""
    host: str = "127.0.0.1"
    port: int = 3001
    redis_url: str | None = field(default=None, repr=False)
    workers: int = 1
    config_file: Path | None = None
    local_model: Path | None = None
    """A GGUF file to serve from this process, with the ``local`` extra."""
    log_format: str = "text"
    log_level: str = "INFO"
    requests_per_token: int = 2_000
    """Of one client token at the same time, in each worker."""
    sync: str = "normal"
    """``full``: SQLite waits for the disk with each commit, so that a power cut loses nothing."""
    http_proxy: str | None = field(default=None, repr=False)
    https_proxy: str | None = field(default=None, repr=False)
    no_proxy: tuple[str, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    """Proxies in front of this server, whose word on the client is taken."""
    cors_origins: tuple[str, ...] = ("*",)
    """Origins whose pages may use ``/v1``; ``*`` alone for all, empty for none."""
    base_urls: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """From FREELLMAPI_<PROVIDER>_BASE_URL, by provider id in lower case with underscores."""
    _environ: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """The settings that ``environ`` states; ``SettingsError`` names what is wrong."""
        env = _Reader(environ)
        data_dir = env.path("FREELLMAPI_DATA_DIR") or _default_data_dir(env)
        settings = cls(
            data_dir=data_dir,
            database_url=env.url("DATABASE_URL") or f"sqlite:///{data_dir / 'freellmapi.db'}",
            encryption_key=env.text("ENCRYPTION_KEY"),
            host=env.host("HOST") or "127.0.0.1",
            port=env.integer("PORT", 3001, low=1, high=65_535),
            redis_url=env.url("REDIS_URL", ("redis", "rediss", "unix")),
            workers=env.integer("WEB_CONCURRENCY", 1, low=1, high=512),
            config_file=env.path("FREELLMAPI_CONFIG"),
            local_model=env.path("FREELLMAPI_LOCAL_MODEL"),
            log_format=env.choice("FREELLMAPI_LOG_FORMAT", _FORMATS, "text"),
            log_level=env.choice("FREELLMAPI_LOG_LEVEL", _LEVELS, "INFO"),
            requests_per_token=env.integer("FREELLMAPI_MAX_PER_TOKEN", 2_000, low=1, high=10**6),
            sync=env.choice("FREELLMAPI_SYNC", _SYNCS, "normal"),
            http_proxy=env.proxy("HTTP_PROXY"),
            https_proxy=env.proxy("HTTPS_PROXY"),
            no_proxy=env.names("NO_PROXY"),
            trusted_proxies=env.networks("TRUSTED_PROXIES"),
            cors_origins=env.origins("CORS_ORIGINS"),
            base_urls=env.base_urls(),
            _environ=MappingProxyType(dict(environ)),
        )
        _check_workers(settings)
        return settings

    @classmethod
    def load(cls) -> Settings:
        """The settings of this process: its environment over the ``.env`` file."""
        return cls.from_env(load_dotenv_file())

    @property
    def bind(self) -> str:
        """``host:port`` as a server listens on it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the server, without a slash at the end."""
        if self.host in ("0.0.0.0", "::"):
            return f"http://127.0.0.1:{self.port}"
        return f"http://{self.bind}"

    @property
    def environ(self) -> Mapping[str, str]:
        """Every variable, for the keys that the catalog names. Not to be shown."""
        return self._environ

    def provider_key(self, env_var: str) -> str | None:
        """The secret in a variable of the environment, None when it is unset or blank."""
        return self._environ.get(env_var, "").strip() or None

    def base_url(self, provider_id: str) -> str | None:
        """The origin stated for a provider instead of the catalog's."""
        return self.base_urls.get(re.sub(r"[^a-z0-9]", "_", provider_id.lower()))


def load_dotenv_file(
    environ: Mapping[str, str] | None = None, folders: tuple[Path, ...] | None = None
) -> Mapping[str, str]:
    """``environ`` (the process's own by default) over the first ``.env`` file found.

    Looked for beside ``wsgi.py`` and then in the current folder. A file that cannot be
    read is a ``SettingsError``: a server without its key file would start with another.
    """
    real = os.environ if environ is None else environ
    for folder in folders or _dotenv_folders():
        path = folder / ".env"
        if path.exists():
            return MappingProxyType({**_read_dotenv(path), **real})
    return MappingProxyType(dict(real))


def _dotenv_folders() -> tuple[Path, ...]:
    checkout = checkout_root()
    return (checkout, Path.cwd()) if checkout else (Path.cwd(),)


def _read_dotenv(path: Path) -> dict[str, str]:
    # 0.2 MiB and 3 ms, twice, that a server without such a file does without.
    from dotenv import dotenv_values

    try:
        # Windows editors begin a file with a byte order mark; no interpolation, because
        # a password may hold "${".
        with path.open(encoding="utf-8-sig") as stream:
            values = dotenv_values(stream=stream, interpolate=False)
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path} cannot be read: {exc}. Mend or remove the file.") from exc
    return {name: value for name, value in values.items() if value is not None}


def checkout_root() -> Path | None:
    """The folder of the checkout that this package runs from; None once installed."""
    is_checkout = (_ROOT / "wsgi.py").is_file() and (_ROOT / "pyproject.toml").is_file()
    return _ROOT if is_checkout else None


def _default_data_dir(env: _Reader) -> Path:
    checkout = checkout_root()
    if checkout is not None:
        return checkout / "data"
    home = env.path("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return home / "freellmapi"


def _check_workers(settings: Settings) -> None:
    if settings.workers > 1 and settings.redis_url is None:
        raise SettingsError(
            f"WEB_CONCURRENCY is {settings.workers}, but several workers can keep within the "
            "providers' limits only when they share their counts: set REDIS_URL as well, "
            "or WEB_CONCURRENCY to 1."
        )


class _Reader:
    """Reads variables by kind; blank is unset; every complaint names variable and value."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str) -> str | None:
        return self._environ.get(name, "").strip() or None

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        text = self.text(name)
        if text is None:
            return default
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise _wrong(name, text, f"a whole number from {low} to {high}")
        return int(text)

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        text = self.text(name) or default
        for word in allowed:
            if text.lower() == word.lower():
                return word
        raise _wrong(name, text, "one of " + ", ".join(allowed))

    def path(self, name: str) -> Path | None:
        text = self.text(name)
        return None if text is None else Path(text).expanduser().absolute()

    def host(self, name: str) -> str | None:
        text = self.text(name)
        if text is None:
            return None
        host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
        if not (re.fullmatch(r"[0-9A-Za-z._-]+", host) or _is_ipv6(host)):
            raise _wrong(name, text, "an address or host name alone, such as 127.0.0.1 or 0.0.0.0")
        return host

    def url(self, name: str, schemes: tuple[str, ...] = ()) -> str | None:
        """A URL, never repeated in a complaint, because it may hold a password."""
        text = self.text(name)
        if text is None:
            return None
        scheme, mark, _ = text.partition("://")
        if not mark or (schemes and scheme not in schemes):
            wanted = " or ".join(f"{s}://..." for s in schemes or ("sqlite", "postgresql"))
            raise SettingsError(f"{name} (of {len(text)} characters) is no URL such as {wanted}.")
        return text

    def proxy(self, name: str) -> str | None:
        """The lower-case name first, as curl does; ``host:port`` is taken for http."""
        text = self.text(name.lower()) or self.text(name)
        if text is None:
            return None
        try:
            return check_proxy(text)
        except ValueError as exc:
            raise SettingsError(f"{name} must be an HTTP proxy, such as {EXAMPLE}.") from exc

    def names(self, name: str) -> tuple[str, ...]:
        text = self.text(name.lower()) or self.text(name) or ""
        return tuple(part.strip() for part in text.split(",") if part.strip())

    def networks(self, name: str) -> tuple[Network, ...]:
        found = []
        for part in (self.text(name) or "").replace(",", " ").split():
            try:
                network = ip_network(part)
            except ValueError as exc:
                wanted = "addresses or networks, such as 127.0.0.1 or 10.0.0.0/24"
                raise _wrong(name, part, wanted) from exc
            if network.prefixlen < (16 if network.version == 6 else 8):
                raise SettingsError(
                    f"{name} names {part}, in which clients are too: whoever connects from there "
                    "could claim any address. Name the proxies alone."
                )
            found.append(network)
        return tuple(found)

    def origins(self, name: str) -> tuple[str, ...]:
        """``*``, ``none``, or origins as a browser writes them."""
        words = (self.text(name) or "*").replace(",", " ").split()
        if words in (["*"], ["none"]):
            return () if words == ["none"] else ("*",)
        for word in words:
            if not _ORIGIN.fullmatch(word):
                raise _wrong(name, word, "*, none, or origins such as https://chat.example")
        return tuple(words)

    def base_urls(self) -> Mapping[str, str]:
        found = {}
        for name in self._environ:
            match = _BASE_URL.fullmatch(name)
            text = self.text(name)
            if match is None or text is None:
                continue
            try:
                found[match[1].lower()] = check_base_url(text)
            except ValueError as exc:
                wanted = "It must be an address such as https://gateway.example/v1."
                raise SettingsError(f"{name}: {exc}. {wanted}") from exc
        return MappingProxyType(found)


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _wrong(name: str, value: str, wanted: str) -> SettingsError:
    return SettingsError(f"{name} is {value!r}; it must be {wanted}.")
