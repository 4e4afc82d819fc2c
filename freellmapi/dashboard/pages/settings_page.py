"""What the page Settings shows."""

from __future__ import annotations

from collections.abc import Mapping

from freellmapi import __version__
from freellmapi.core.values import dataclass
from freellmapi.dashboard.pages import settings_about as about
from freellmapi.dashboard.pages import settings_proxy as proxy
from freellmapi.dashboard.pages import settings_routing as routing
from freellmapi.dashboard.pages import settings_tokens as tokens
from freellmapi.dashboard.pages.settings_about import Library
from freellmapi.dashboard.pages.settings_import import Plan
from freellmapi.dashboard.pages.settings_import_limits import caps, name
from freellmapi.dashboard.pages.settings_proxy import ProxyForm
from freellmapi.dashboard.pages.settings_routing import Setting
from freellmapi.dashboard.pages.settings_tokens import TokenRow
from freellmapi.dashboard.pages.settings_undo import LastImport, last_import
from freellmapi.dashboard.pages.settings_words import GROUPS
from freellmapi.dashboard.parts import parts as shared
from freellmapi.services import Services
from freellmapi.storage import backup

RETENTION = "log_retention_days"


@dataclass(frozen=True, slots=True)
class About:
    version: str
    python: str
    database: str
    libraries: tuple[Library, ...]


@dataclass(frozen=True, slots=True)
class SettingsPage:
    """``version`` is the configuration's, read before everything else."""

    version: int
    groups: tuple[tuple[str, tuple[Setting, ...]], ...]
    retention: Setting
    tokens: tuple[TokenRow, ...]
    proxy: ProxyForm
    can_be_copied: bool
    last_import: LastImport | None
    limits: tuple[tuple[str, str], ...]
    """Own caps: whose, and which."""
    about: About


@dataclass(frozen=True, slots=True)
class Answer:
    """What a form that was sent without a script is answered on the page."""

    errors: Mapping[str, str]
    """Field -> what is wrong with it."""
    typed: Mapping[str, str]
    token: str = ""
    """One that was just made."""
    revoking: TokenRow | None = None
    plan: Plan | None = None


NO_ANSWER = Answer({}, {})


def settings_page(parts: Services) -> SettingsPage:
    version = parts.configuration.snapshot.version
    static = shared().assets.folder
    found = routing.rows(parts, parts.off_hub(parts.config.settings))
    return SettingsPage(
        version=version,
        groups=tuple((title, tuple(found[name] for name in names)) for title, names in GROUPS),
        retention=found[RETENTION],
        tokens=tokens.rows(parts),
        proxy=proxy.form(parts.proxies),
        last_import=parts.off_hub(lambda: last_import(parts)),
        limits=parts.off_hub(lambda: _limits(parts)),
        can_be_copied=backup.can_be_copied(parts.database),
        about=About(
            __version__,
            about.python(),
            "SQLite" if backup.can_be_copied(parts.database) else "PostgreSQL",
            parts.off_hub(lambda: about.libraries(static)),
        ),
    )


def _limits(parts: Services) -> tuple[tuple[str, str], ...]:
    found = (*parts.configuration.given.limits, *parts.config.limits())
    return tuple((name(entry), caps(entry)) for entry in found if entry.get("provider"))
