"""A database with traffic in it, for the pages that show figures."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from freellmapi.core.errors import ErrorKind
from freellmapi.core.limits import Usage
from freellmapi.core.route import Attempt
from freellmapi.storage import bulk, tables
from freellmapi.storage.db import Database
from freellmapi.storage.logged import LoggedRequest, attempt_values, request_values
from freellmapi.storage.writer import Writer
from tests.fakes import postgres
from tests.storage.rows import ROW

MODELS = (
    ("groq", "openai/gpt-oss-120b", "1"),
    ("groq", "openai/gpt-oss-20b", "2"),
    ("google", "gemini-2.5-flash", "env:GEMINI_API_KEY"),
    ("lab", "own-model", "anonymous"),
)


@contextmanager
def opened(folder: Path) -> Iterator[Database]:
    database = Database.open(postgres.url_in(folder))
    database.migrate()
    yield database
    database.close()


def write(database: Database, rows: Iterable[LoggedRequest]) -> None:
    """As the log writes them, each in a transaction of its own."""
    writer = Writer(database.engine)
    for row in rows:
        with writer.transaction():
            id = 1 + writer.scalar("SELECT coalesce(max(id), 0) FROM requests")
            bulk.add(writer, tables.requests, [request_values(id, row)])
            tried = [attempt_values(id, n, attempt) for n, attempt in enumerate(row.attempts)]
            bulk.add(writer, tables.attempts, tried)
    writer.close()


def answered(at: float, **changes: object) -> LoggedRequest:
    """One call to ``gpt-oss-120b`` of groq: 2 s, 100 tokens in, 50 out."""
    provider, model, key_id = MODELS[0]
    attempt = Attempt(provider, model, key_id, at, 2.0, status=200, usage=Usage(100, 50))
    row = replace(
        ROW,
        **{"at": at, "provider": provider, "served_model": model, "key_id": key_id},  # type: ignore[arg-type]
        attempts=(attempt,),
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def refused(at: float) -> LoggedRequest:
    """One that nobody served after two calls."""
    provider, model, key_id = MODELS[2]
    call = Attempt(provider, model, key_id, at, 0.2, ErrorKind.RATE_LIMITED, 429, "no", spent=False)
    return replace(
        answered(at, status=429, error="rate_limited", provider=None, served_model=None),
        key_id=None,
        prompt_tokens=0,
        completion_tokens=0,
        first_token=None,
        attempts=(call, call),
    )


def anything(rng: random.Random, at: float) -> LoggedRequest:
    """A request that went somehow."""
    attempts = []
    for provider, model, key_id in rng.choices(MODELS, k=rng.randint(0, 3)):
        error = rng.choice([None, None, *ErrorKind])
        usage = Usage(rng.randint(0, 900), rng.randint(0, 300)) if error is None else None
        attempts.append(Attempt(provider, model, key_id, at, rng.random(), error, 200, "", usage))
    served = next((a for a in reversed(attempts) if a.usage), None)
    usage = served.usage if served and served.usage else Usage(0, 0)
    broken = rng.random() < 0.1
    return LoggedRequest(
        request_id=f"req_{rng.getrandbits(64):016x}",
        at=at,
        token_id=rng.choice([None, 1, 2]),
        model="auto",
        stream=rng.random() < 0.5,
        status=200 if served else rng.choice([400, 429, 502]),
        error="stream_broken"
        if broken
        else rng.choice([None, "rate_limited"])
        if not served
        else None,
        provider=served.provider if served else None,
        served_model=served.model if served else None,
        key_id=served.key_id if served else None,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        exact=True,
        duration=rng.lognormvariate(0, 1),
        first_token=rng.random() if served else None,
        attempts=tuple(attempts),
    )
