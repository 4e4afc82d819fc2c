"""One client token floods, another sends a few: how long these wait, measured through gunicorn."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import openai
import pytest

from freellmapi.storage.db import Database
from freellmapi.storage.tokens import TokenStore
from freellmapi.storage.vault import Vault, parse_key
from tests.e2e.server import CLOCK, ENCRYPTION_KEY, HELLO, Server, config
from tests.fakes.provider import Caps, FakeProvider, later, says

pytestmark = pytest.mark.e2e

FLOOD, FEW, AT_ONCE = 200, 5, 2
TAKES = 0.15
"""Seconds of each call at the provider."""


def another_token(server: Server) -> str:
    own = f"sqlite:///{server.data / 'freellmapi.db'}"
    database = Database.open(server.environ.get("DATABASE_URL") or own)
    with closing(database):
        return TokenStore(database, Vault(parse_key(ENCRYPTION_KEY)), CLOCK).create("another")


def asked(client: openai.OpenAI) -> float:
    """Seconds until it was answered."""
    began = CLOCK.monotonic()
    client.chat.completions.create(
        model="auto", messages=HELLO, max_tokens=5, extra_headers={"X-Max-Wait": "120"}
    )
    return CLOCK.monotonic() - began


def test_a_flood_of_one_token_costs_another_about_a_turn_each(tmp_path: Path) -> None:
    caps = Caps(concurrency=AT_ONCE)
    with FakeProvider(limits=caps) as fake:
        fake.default = later(TAKES, says("hi", usage=(5, 2)))
        text = config({"lab": fake.base_url}, keys=[("lab", "k")], limits={"concurrency": AT_ONCE})
        with Server(tmp_path, text) as server:
            few = server.client(120)
            few.api_key = another_token(server)
            server.until(lambda: is_known(few), "the new token is known")
            with server.client(120) as flood, few, ThreadPoolExecutor(FLOOD + FEW) as pool:
                flooding = [pool.submit(asked, flood) for _ in range(FLOOD)]
                server.until(lambda: len(fake.requests) >= 10, "the flood has begun")
                server.until(lambda: waiting(server) > FLOOD / 2, "most of it waits")
                waits = sorted(pool.map(asked, [few] * FEW))
                left = sum(not each.done() for each in flooding)
                longest = max(each.result() for each in flooding)
        assert fake.violations == 0
    sys.stdout.write(f"the few: {waits[0]:.1f} to {waits[-1]:.1f} s, the flood: {longest:.1f} s\n")
    assert left > FLOOD / 3, "the few did not wait for the flood to end"
    assert waits[-1] < longest / 3


def is_known(client: openai.OpenAI) -> bool:
    try:
        return bool(client.models.list().data)
    except openai.AuthenticationError:
        return False


def waiting(server: Server) -> float:
    lines = server.get("/metrics").text.splitlines()
    return next(float(s.split()[1]) for s in lines if s.startswith("freellmapi_requests_waiting "))
