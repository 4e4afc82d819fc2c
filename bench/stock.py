"""A data folder as its owner has it after three months: account, keys, models, a full log."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from bench.processes import ROOT
from bench.seed import DAY, Spread, fill
from freellmapi.app import build_services
from freellmapi.core.catalog import Catalog
from freellmapi.settings import Settings

NAME, PASSWORD = "ada", "correct horse battery"
DAYS = 90
KEYS_EACH = 2
OWN_PROVIDERS, OWN_MODELS = 5, 8
FRESH = DAY
"""Seconds for which a seeded log is good: later its last 24 hours would be empty."""
_NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class Stock:
    """A folder, and the environment in which a server of it runs."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def environ(self, port: int) -> Mapping[str, str]:
        """Nothing of the user's own, and no way off this machine."""
        blank: dict[str, str] = {name: "" for name in dotenv_values(ROOT / ".env")}
        return blank | {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "ENCRYPTION_KEY": (self.folder / "key").read_text(),
            "FREELLMAPI_DATA_DIR": str(self.data),
            "FREELLMAPI_CONFIG": str(self.folder / "freellmapi.toml"),
            "HTTP_PROXY": _NOWHERE,
            "HTTPS_PROXY": _NOWHERE,
        }


def empty(folder: Path) -> Stock:
    """A server that nobody has used yet."""
    folder.mkdir(parents=True)
    (folder / "key").write_text(secrets.token_hex(32))
    (folder / "freellmapi.toml").write_text(_config())
    return Stock(folder)


def stocked(folder: Path, rows: int) -> Stock:
    """The folder as it was left by the last run if that was of late; seeded anew if not."""
    done = folder / "seeded"
    if done.exists() and done.read_text() == str(rows) and _age(done) < FRESH:
        return Stock(folder)
    if folder.exists() and not (folder / "key").exists() and any(folder.iterdir()):
        raise RuntimeError(f"{folder} holds something else")
    for file in folder.glob("data/freellmapi.db*"):
        file.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "key").write_text(secrets.token_hex(32))
    (folder / "freellmapi.toml").write_text(_config())
    stock = Stock(folder)
    _fill(stock, rows)
    done.write_text(str(rows))
    return stock


def _fill(stock: Stock, rows: int) -> None:
    parts = build_services(Settings.from_env(stock.environ(1)))
    spread = everybody(parts.configuration.snapshot.catalog)
    for provider in spread.providers:
        for n in range(spread.keys_each):
            key = parts.keys.add(provider, secrets.token_hex(24), f"key {n + 1} of {provider}")
            assert str(key.id) == spread.key_id(provider, n)
    for name in ("laptop", "editor"):
        parts.tokens.create(name)
    parts.accounts.create(NAME, PASSWORD)
    now = parts.clock.now()
    fill(parts.database, rows, now - DAYS * DAY, now, spread)
    parts.database.close()


def everybody(catalog: Catalog) -> Spread:
    """All models of all providers that are asked over the network."""
    models = tuple(model for model in catalog.models if model.provider != "local")
    return Spread(models, tuple(dict.fromkeys(model.provider for model in models)), KEYS_EACH)


def _config() -> str:
    """Providers of the owner's own, so that there are 200 models whatever the catalog has."""
    lines = ["[settings]", "probe_interval = 0"]
    for p in range(1, OWN_PROVIDERS + 1):
        more = "context = 131072, tools = true, limits = { rpd = 1000 }"
        models = ",\n".join(
            f'  {{ id = "house-{p}-{n}b", {more} }}' for n in range(1, OWN_MODELS + 1)
        )
        lines += ["[[providers]]", f'id = "house{p}"', f'base_url = "{_NOWHERE}/v1"']
        lines += [f"models = [\n{models}\n]"]
    return "\n".join(lines) + "\n"


def _age(file: Path) -> float:
    return time.time() - file.stat().st_mtime
