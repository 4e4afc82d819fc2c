"""What a first visit of a page transfers, with many keys and a used log."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from posixpath import dirname, join, normpath

import pytest

from freellmapi.services import Services
from freellmapi.storage.rollups import DAY
from tests.dashboard.conftest import Visitor
from tests.dashboard.traffic import anything, write

PLAIN, WITH_CHARTS = 150_000, 300_000
HEADERS = 500
"""About what an answer's head takes besides."""
_LINKED = re.compile(r'(?:href|src)="(/static/[^"#]+)')
_IMPORTED = re.compile(r'(?:from|import) "(\./[^"]+)"')


@pytest.fixture
def used(services: Services) -> Services:
    """Two keys for each provider of the catalog, and a quarter of traffic."""
    for provider in services.configuration.snapshot.catalog.providers:
        for n in range(2):
            services.keys.add(provider, f"{provider}-{n}-" + "0123456789abcdef" * 2)
    services.configuration.refresh()
    rng, now = random.Random(7), services.clock.now()
    write(services.database, [anything(rng, now - rng.uniform(0, 90) * DAY) for _ in range(300)])
    return services


@pytest.mark.parametrize(
    ("path", "most"),
    [
        *((f"/{name}", PLAIN) for name in ("keys", "chain", "playground", "settings")),
        ("/analytics?range=90d&by=model", WITH_CHARTS),
    ],
)
def test_a_first_visit_transfers_little(
    owner: Visitor, used: Services, path: str, most: int
) -> None:
    assert len(used.keys.all()) >= 50
    sizes = dict(_transferred(owner, path))
    assert sum(sizes.values()) < most, sorted(sizes.items(), key=lambda one: -one[1])[:5]
    assert len(sizes) > 5


def _transferred(owner: Visitor, path: str) -> Iterator[tuple[str, int]]:
    """Address and bytes of the page and all that it loads, compressed."""
    size, text = _get(owner, path)
    yield path, size
    to_see, seen = set(_LINKED.findall(text)), set[str]()
    while to_see - seen:
        asset = min(to_see - seen)
        seen.add(asset)
        size, text = _get(owner, asset)
        yield asset, size
        if asset.endswith(".js") and "/vendor/" not in asset:
            to_see |= {normpath(join(dirname(asset), m)) for m in _IMPORTED.findall(text)}


def _get(owner: Visitor, path: str) -> tuple[int, str]:
    plain = owner.client.get(path, environ_overrides=owner.environ)
    packed = owner.client.get(
        path, headers={"Accept-Encoding": "gzip"}, environ_overrides=owner.environ
    )
    assert plain.status_code == 200, path
    return len(packed.get_data()) + HEADERS, plain.get_data(as_text=True)
