"""A server to be looked at: keys of several providers, three weeks of traffic, nothing real."""

from __future__ import annotations

import math
import random
import re
import string
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import requests

from bench.seed import DAY, Spread, write
from bench.seed import requests as made_up
from freellmapi.app import build_services
from freellmapi.core.catalog import Catalog, Model
from freellmapi.router.measurements import Measurements
from freellmapi.services import Services
from freellmapi.settings import Settings
from freellmapi.storage.logged import LoggedRequest
from tests.e2e.browser import NAME, PASSWORD
from tests.e2e.server import PATIENCE, Server
from tests.fakes.provider import FakeProvider, Reply, SeenRequest, drips, status

DAYS, CALLS_A_DAY = 21, 560
TEA_TIME = 16
"""The hour of the day that it is for who looks at the pages."""
PROVIDERS = ("groq", "google", "cerebras", "mistral", "openrouter", "nvidia", "zhipu")
BUSY = tuple(provider for provider in PROVIDERS if provider != "openrouter")
"""Who is asked: the other one allows fewer calls than there are."""
MODELS_EACH = 3
SHARES = 385
"""The seed with which each of them has its share, the first ones the most."""
ROOM_A_DAY = 400
"""Models with a smaller daily cap of calls would have had more than they allow."""
SECRETS = {
    "groq": "gsk_" + "?" * 52,
    "google": "AIza" + "?" * 35,
    "cerebras": "csk-" + "?" * 48,
    "mistral": "?" * 32,
    "openrouter": "sk-or-v1-" + "#" * 64,
    "nvidia": "nvapi-" + "?" * 64,
    "zhipu": "#" * 32 + "." + "?" * 16,
}
"""How keys look: a question mark is any letter or digit, # a hexadecimal one."""
FULL = "google"
"""Says that its free tier is used up when it is asked."""
SILENT_FOR = 14 * 60 + 20

QUESTION = "When is an LSM tree a better choice than a B-tree?"
ANSWER = """**Take an LSM tree when you write more than you read.** It turns random writes into \
sequential ones and pays for that when it reads and compacts.

| | B-tree | LSM tree |
|---|---|---|
| Writes | in place, one page each | appended, merged later |
| Point reads | one path, 3–4 pages | memtable, then a few levels |
| Known from | PostgreSQL, SQLite | RocksDB, Cassandra |

The heart of compaction is a merge of sorted runs:

```python
def compact(*runs):
    for key, versions in groupby(merge(*runs), key=itemgetter(0)):
        yield key, max(versions, key=itemgetter(1))  # the newest wins
```

Below some 10,000 writes a second you will hardly see a difference: **measure first.**
"""


@contextmanager
def showcase(folder: Path) -> Iterator[Server]:
    """The server, running; all providers are one fake in this process."""
    with FakeProvider() as fake:
        fake.chooser = _reply
        environ = {f"FREELLMAPI_{id.upper()}_BASE_URL": _address(fake, id) for id in PROVIDERS}
        text = "[settings]\nprobe_interval = 0\n"
        server = Server(folder, text, **environ, HTTPS_PROXY="http://127.0.0.1:9")
        services = build_services(Settings.from_env(server.environ))
        _fill(services)
        services.close()
        with server:
            _first_asked(server, FULL)
            yield server


def _first_asked(server: Server, provider: str) -> None:
    """A model of this provider is at the head of the chain."""
    url, headers = f"{server.url}/api/chain", server.headers()
    chain = requests.get(url, headers=headers, timeout=PATIENCE).json()
    order = sorted(chain["order"], key=lambda ref: not ref.startswith(f"{provider}/"))
    first, rest = order[0], [ref for ref in chain["order"] if ref != order[0]]
    body = {"version": chain["version"], "order": [first, *rest]}
    requests.put(url, json=body, headers=headers, timeout=PATIENCE).raise_for_status()


def _address(fake: FakeProvider, provider: str) -> str:
    return f"http://127.0.0.1:{fake.port}/{provider}"


def _reply(request: SeenRequest) -> Reply | None:
    if request.path.startswith(f"/{FULL}/"):
        return status(429, Retry_After=str(SILENT_FOR))
    words = re.findall(r"\S*\s+|\S+", ANSWER)
    return drips(*words, delay=0.31, interval=0.005, usage=(23, 268))


def _fill(services: Services) -> None:
    rng = random.Random(7)
    for provider in PROVIDERS:
        key = services.keys.add(provider, _made_up(provider, rng), "personal")
        services.keys.set_status(key.id, "healthy")
    old = services.keys.add("mistral", _made_up("mistral", rng), "old laptop")
    services.keys.set_status(old.id, "invalid", "HTTP 401: Unauthorized")
    services.tokens.ensure()
    for name in ("laptop", "editor"):
        services.tokens.create(name)
    services.accounts.create(NAME, PASSWORD)
    measured = Measurements()
    write(services.database, _measured(traffic(services, rng), measured))
    measured.save(services.measurements.save)


def _made_up(provider: str, rng: random.Random) -> str:
    alphabets = {"?": string.ascii_letters + string.digits, "#": "0123456789abcdef"}
    pattern = SECRETS[provider]
    return "".join(rng.choice(alphabets[c]) if c in alphabets else c for c in pattern)


def traffic(services: Services, rng: random.Random) -> Iterator[LoggedRequest]:
    """By day more than by night, a little more every day, and till a minute ago."""
    spread = Spread(_roomy(services.configuration.snapshot.catalog), PROVIDERS, keys_each=1)
    times = list(_times(services.clock.now() - 60, rng))
    made = made_up(len(times), 0, len(times), random.Random(SHARES), spread)
    return (_moved(row, at) for at, row in zip(times, made, strict=True))


def _measured(rows: Iterable[LoggedRequest], measured: Measurements) -> Iterator[LoggedRequest]:
    """The rows, of which the server would have learnt this."""
    for row in rows:
        for attempt in row.attempts:
            first = row.first_token if attempt.error is None else None
            measured.record(attempt, min(first or attempt.duration, attempt.duration / 2))
        yield row


def _roomy(catalog: Catalog) -> tuple[Model, ...]:
    """Of each provider its first models that may be asked often."""
    return tuple(
        model
        for provider in BUSY
        for model in [
            m
            for m in catalog.models
            if m.provider == provider and (m.limits.rpd or ROOM_A_DAY) >= ROOM_A_DAY
        ][:MODELS_EACH]
    )


def _times(now: float, rng: random.Random) -> Iterator[float]:
    """Ascending. Where the viewer is, it is tea time now."""
    for hour in range(DAYS * 24, 0, -1):
        of_day = (TEA_TIME - hour) % 24
        by_day = max(0.06, math.sin((of_day - 6) / 18 * math.pi)) if of_day >= 6 else 0.06
        growth = 1 - hour / (DAYS * 24) / 2
        count = round(CALLS_A_DAY / 12 * by_day * growth * rng.uniform(0.7, 1.3))
        start = now - hour * DAY / 24
        yield from sorted(start + rng.random() * DAY / 24 for _ in range(count))


def _moved(row: LoggedRequest, at: float) -> LoggedRequest:
    by = at - row.at
    attempts = tuple(replace(a, started_at=a.started_at + by) for a in row.attempts)
    return replace(row, at=at, attempts=attempts)
