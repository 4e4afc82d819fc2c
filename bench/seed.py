"""``python -m bench.seed FILE``: a database with a month of traffic, for measuring figures on.

Everything in it is made up, and the same for the same ``--rows`` and ``--until``.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from freellmapi.core.catalog import Catalog, Model
from freellmapi.core.errors import ErrorKind
from freellmapi.core.limits import Usage
from freellmapi.core.route import Attempt
from freellmapi.providers.catalog import load_catalog
from freellmapi.storage import bulk, tables
from freellmapi.storage.db import Database
from freellmapi.storage.logged import LoggedRequest, attempt_values, request_values
from freellmapi.storage.writer import Writer

DAY = 86_400.0
BATCH = 2_000
CLIENTS = (None, 1, 2, 3)

_FAULTS = (
    (ErrorKind.RATE_LIMITED, 429, 60),
    (ErrorKind.SERVER_ERROR, 503, 15),
    (ErrorKind.DAILY_QUOTA, 429, 15),
    (ErrorKind.TIMEOUT, None, 7),
    (ErrorKind.BAD_ANSWER, 200, 3),
)


@dataclass(frozen=True, slots=True)
class Spread:
    """Over what the traffic goes. Key ids count up from 1, provider by provider."""

    models: tuple[Model, ...]
    providers: tuple[str, ...]
    keys_each: int

    def key_id(self, provider: str, n: int) -> str:
        """Of the provider's key number ``n``, from 0."""
        return str(self.providers.index(provider) * self.keys_each + n + 1)

    @classmethod
    def of(cls, catalog: Catalog, providers: tuple[str, ...], each: int, keys_each: int) -> Spread:
        """``each``: so many models of every provider, the first ones."""
        models = tuple(
            model
            for provider in providers
            for model in [m for m in catalog.models if m.provider == provider][:each]
        )
        return cls(models, providers, keys_each)


PROVIDERS = ("groq", "google", "cerebras", "mistral", "openrouter", "github", "cohere", "nvidia")


def usual() -> Spread:
    """A few providers of the shipped catalog."""
    return Spread.of(load_catalog(), PROVIDERS, each=4, keys_each=2)


@dataclass(frozen=True, slots=True)
class Pool:
    """Who may be asked, each with its share of the traffic and its usual latency."""

    spread: Spread
    weights: tuple[float, ...]
    seconds: tuple[float, ...]


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.seed", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--until", type=float, default=time.time(), help="epoch seconds")
    given = parser.parse_args()
    database = Database.open(f"sqlite:///{given.file}")
    database.migrate()
    started = time.perf_counter()
    written = fill(database, given.rows, given.until - given.days * DAY, given.until)
    database.close()
    print(f"{written:,} requests in {time.perf_counter() - started:.0f} s: {given.file}")


def fill(
    database: Database, rows: int, since: float, until: float, over: Spread | None = None
) -> int:
    """Writes so many made-up rows; how many."""
    return write(database, requests(rows, since, until, random.Random(rows), over))


def write(database: Database, made: Iterator[LoggedRequest]) -> int:
    """Just as the log does, but many in a transaction; how many rows."""
    writer = Writer(database.engine)
    first = 1
    while batch := list(islice(made, BATCH)):
        numbered = list(enumerate(batch, first))
        with writer.transaction():
            bulk.add(writer, tables.requests, [request_values(id, row) for id, row in numbered])
            tried = [
                attempt_values(id, n, attempt)
                for id, row in numbered
                for n, attempt in enumerate(row.attempts)
            ]
            bulk.add(writer, tables.attempts, tried)
        first += len(batch)
    writer.close()
    return first - 1


def requests(
    rows: int, since: float, until: float, rng: random.Random, over: Spread | None = None
) -> Iterator[LoggedRequest]:
    """Evenly spread over the time, so that every hour has its share of everything."""
    pool = _pool(over or usual(), rng)
    step = (until - since) / rows
    for n in range(rows):
        yield _request(n, since + n * step, pool, rng)


def _pool(over: Spread, rng: random.Random) -> Pool:
    weights = tuple(rng.paretovariate(1.2) for _ in over.models)
    return Pool(over, weights, tuple(rng.lognormvariate(0.2, 0.6) for _ in over.models))


def _request(n: int, at: float, pool: Pool, rng: random.Random) -> LoggedRequest:
    attempts: list[Attempt] = []
    started = at
    for number in rng.choices(range(len(pool.spread.models)), pool.weights, k=4):
        attempt = _attempt(pool, number, started, rng)
        attempts.append(attempt)
        started += attempt.duration
        if attempt.error is None:
            break
    last = attempts[-1]
    served = last if last.error is None else None
    usage = last.usage or Usage(0, 0, exact=False)
    stream = rng.random() < 0.6
    return LoggedRequest(
        request_id=f"req_{n:024x}",
        at=at,
        token_id=rng.choice(CLIENTS),
        model="auto" if rng.random() < 0.7 else last.model,
        stream=stream,
        status=200 if served else 429,
        error=None if served else "rate_limited",
        provider=served.provider if served else None,
        served_model=served.model if served else None,
        key_id=served.key_id if served else None,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        exact=usage.exact,
        duration=started - at,
        first_token=(started - at) * rng.uniform(0.1, 0.4) if served and stream else None,
        attempts=tuple(attempts),
    )


def _attempt(pool: Pool, number: int, started: float, rng: random.Random) -> Attempt:
    model = pool.spread.models[number]
    key_id = pool.spread.key_id(model.provider, rng.randrange(pool.spread.keys_each))
    if rng.random() < 0.15:
        (kind, status, _) = rng.choices(_FAULTS, [weight for _, _, weight in _FAULTS])[0]
        return Attempt(
            *(model.provider, model.id, key_id, started, rng.uniform(0.05, 0.6), kind, status),
            message="made up",
            spent=kind is ErrorKind.SERVER_ERROR,
        )
    duration = pool.seconds[number] * rng.lognormvariate(0.0, 0.7)
    usage = Usage(round(rng.lognormvariate(6, 1)), round(rng.lognormvariate(5, 1)))
    return Attempt(*(model.provider, model.id, key_id, started, duration), status=200, usage=usage)


if __name__ == "__main__":
    main()
