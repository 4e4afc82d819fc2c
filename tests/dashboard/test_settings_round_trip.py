"""An export, imported into an empty installation, makes it do the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import delete

from freellmapi.app import build_services
from freellmapi.dashboard.pages.settings_import import Plan, bring_in, plan
from freellmapi.dashboard.pages.settings_toml import exported
from freellmapi.dashboard.pages.settings_undo import undo
from freellmapi.providers.catalog import NO_KEY, STORED_KEY
from freellmapi.providers.origins import Proxies
from freellmapi.router.config_file import ConfigFile, parse_text
from freellmapi.services import Services
from freellmapi.settings import Settings
from freellmapi.storage import tables
from freellmapi.storage.config import ChainRow
from tests.fakes import postgres
from tests.fakes.clock import FrozenClock

OWN = (
    tables.provider_keys,
    tables.settings,
    tables.chain,
    tables.custom_providers,
    tables.documents,
)

# What TOML cannot hold at all are halves of a surrogate pair.
any_text = st.text(st.characters(codec="utf-8"), max_size=20)
word = st.from_regex(r"[A-Za-z0-9%._~-]{1,12}", fullmatch=True)
secret = st.text(
    st.characters(min_codepoint=33, max_codepoint=126), min_size=9, max_size=40
).filter(lambda text: not text.startswith("env:"))
url = st.builds(
    "http://{}{}.lan:{}".format,
    st.builds("{}:{}@".format, word, word) | st.just(""),
    st.from_regex(r"[a-z][a-z0-9]{0,9}", fullmatch=True),
    st.integers(1, 65_535),
)
proxies = st.builds(
    Proxies,
    st.none() | url,
    st.none() | url,
    st.lists(st.sampled_from(["a.example", "10.0.0.7", "::1"]), unique=True).map(",".join),
)
router = st.fixed_dictionaries(
    {},
    optional={
        "strategy": st.sampled_from(["priority", "balanced", "fast", "smart", "reliable"]),
        "stream_recovery": st.sampled_from(["continue", "error"]),
        "max_wait": st.integers(0, 10_000) | st.floats(0, 1_000),
        "max_attempts": st.integers(1, 100),
        "hedging": st.booleans(),
        "hedging_share": st.floats(0, 1),
        "log_retention_days": st.integers(1, 10_000),
        "probe_interval": st.integers(0, 10_000),
    },
)
keys = st.lists(
    st.tuples(st.sampled_from(["groq", "mistral", "lab"]), secret, any_text, st.booleans()),
    max_size=5,
    unique_by=lambda key: key[:2],
)
models = st.lists(
    st.fixed_dictionaries(
        {"id": st.from_regex(r"[a-z0-9][a-z0-9./-]{0,8}[a-z0-9]", fullmatch=True)},
        optional={"context": st.integers(1_000, 10**6), "tools": st.booleans()},
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda model: model["id"],
)
endpoints = st.dictionaries(
    st.sampled_from(["box", "nas", "far-away"]),
    st.fixed_dictionaries(
        {
            "base_url": st.just("http://10.0.0.7:8000/v1"),
            "key": st.sampled_from([NO_KEY, STORED_KEY]),
            "models": models,
        }
    ),
)
caps = st.dictionaries(st.sampled_from(["rpm", "rpd", "tpd"]), st.integers(1, 10**6), min_size=1)


@dataclass(frozen=True)
class Owned:
    """What an owner has set."""

    keys: list[tuple[str, str, str, bool]]
    endpoints: dict[str, dict[str, Any]]
    settings: dict[str, Any]
    proxies: Proxies | None
    limits: dict[str, dict[str, int]]
    env_keys: list[tuple[str, str, str]]
    shuffled: int
    """0: no chain of one's own."""


EVERYTHING = Owned(
    keys=[("groq", "gsk_turned-off", "spare", False), ("box", "of-an-endpoint", "", True)],
    endpoints={
        "box": {
            "base_url": "http://10.0.0.7:8000/v1",
            "key": STORED_KEY,
            "models": [{"id": "on"}, {"id": "off", "context": 4096}, {"id": "late"}],
        }
    },
    settings={"strategy": "smart", "log_retention_days": 7, "hedging": True},
    proxies=Proxies(None, "http://me:s3cret@proxy.lan:3128", "a.example"),
    limits={"lab": {"rpd": 50}},
    env_keys=[("lab", "LAB_A", "one")],
    shuffled=3,
)
owned = st.builds(
    Owned,
    keys,
    endpoints,
    router,
    st.none() | proxies,
    st.dictionaries(st.sampled_from(["groq", "lab"]), caps),
    st.lists(st.tuples(st.just("lab"), st.sampled_from(["LAB_A", "LAB_B"]), any_text), max_size=1),
    st.integers(0, 5),
)


@pytest.fixture
def both(settings: Settings, services: Services, tmp_path: Path) -> Iterator[list[Services]]:
    """Two installations, with another key each."""
    folder = tmp_path / "other"
    url = postgres.environ_in(folder).get("DATABASE_URL") or f"sqlite:///{folder}/other.db"
    other = replace(settings, data_dir=folder, database_url=url, encryption_key="cd" * 32)
    second = build_services(other, FrozenClock())
    yield [services, second]
    second.close()


def emptied(parts: Services) -> None:
    with parts.database.begin() as connection:
        for table in OWN:
            connection.execute(delete(table))
    parts.config.touch()
    parts.configuration.refresh()


def set_up(parts: Services, what: Owned) -> None:
    for provider, value, label, enabled in what.keys:
        parts.keys.add(provider, value, label, enabled=enabled)
    for id, definition in what.endpoints.items():
        parts.config.put_custom_provider(id, definition)
    parts.config.put_settings(what.settings)
    parts.config.put_limits({"provider": id, **caps} for id, caps in what.limits.items())
    parts.config.put_env_keys(what.env_keys)
    parts.proxy_store.put(None if what.proxies is None else asdict(what.proxies))
    parts.configuration.refresh()
    if what.shuffled:
        refs = [model.ref for model in parts.configuration.snapshot.catalog.models]
        refs = refs[what.shuffled :: 2] + refs[: what.shuffled]
        parts.config.put_chain(ChainRow(ref, place % 3 > 0) for place, ref in enumerate(refs))
        parts.configuration.refresh()


def in_effect(parts: Services) -> Any:
    """What a request would meet."""
    snapshot = parts.configuration.snapshot
    return (
        snapshot.settings,
        {id: (p.account_limits, p.keyless) for id, p in snapshot.catalog.providers.items()},
        [entry.model for entry in snapshot.chain if entry.enabled],
        [(k.provider, parts.keys.secret(k), k.label, k.enabled) for k in parts.keys.all()],
        parts.config.env_keys(),
        parts.proxies.in_force,
    )


def said(parts: Services) -> ConfigFile:
    """The export, wherever its lines stand."""
    return parse_text(exported(parts, in_full=True))


@examples(
    max_examples=40,
    # To make a failing example smaller takes minutes; any of them says what is lost.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(what=EVERYTHING)
@given(what=owned)
def test_nothing_is_lost_on_the_way(both: list[Services], what: Owned) -> None:
    here, there = both
    for parts in both:
        emptied(parts)
    empty = said(there)
    set_up(here, what)
    text = exported(here, in_full=True)
    changes = plan(there, text)
    assert changes.passed_over == ()
    bring_in(there, text)
    assert in_effect(there) == in_effect(here)
    # What is as it would be anyway is not imported, so the texts need not be the same.
    for parts, other in ((here, there), (there, here)):
        assert plan(parts, exported(other, in_full=True)) == Plan((), ())
    if changes.changes:
        undo(there)
    assert said(there) == empty
    masked = exported(here, in_full=False)
    assert not any(value in masked for _, value, _, _ in what.keys)
