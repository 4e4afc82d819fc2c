"""A server for the page Chain: four models of two families, and who of them answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests
from playwright.sync_api import Page

from tests.e2e.browser import PASSWORD
from tests.e2e.server import HELLO, PATIENCE, Server, config
from tests.fakes.provider import FakeProvider, says

CAPS = {"rpm": 300, "rpd": 1000}
REFS = ("first/m", "second/m", "third/m", "fourth/n")
FOURTH = """
[[providers]]
id = "fourth"
base_url = "%s"
key = "none"
models = [{ id = "n", context = 100000, tools = true, vision = true, limits = { rpd = 1000 } }]
"""
SHIFT = """() => new Promise((done) => {
  let sum = 0;
  const add = (list) => list.getEntries().forEach((entry) => (sum += entry.value));
  new PerformanceObserver(add).observe({type: "layout-shift", buffered: true});
  requestAnimationFrame(() => requestAnimationFrame(() => done(sum)));
})"""
"""All that has jumped about so far, as browsers add it up."""


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Each of the models answers with its provider's name."""
    with ExitStack() as stack:
        urls = {}
        for name in (ref.split("/")[0] for ref in REFS):
            fake = stack.enter_context(FakeProvider())
            fake.default = says(f"from {name}", usage=(9, 40))
            urls[name] = fake.base_url
        fourth = FOURTH % urls.pop("fourth")
        text = config(urls, chain=REFS, limits=CAPS, more=fourth, sticky_ttl=0)
        with Server(folder, text) as server:
            server.cli("admin", "create", "ada", "--password-stdin", stdin=f"{PASSWORD}\n")
            yield server


def put_back(server: Server) -> None:
    """The order in which the tests begin."""
    seen = server.get("/api/chain").json()
    first = {"order": list(REFS), "strategy": "priority"}
    on = {"enabled": dict.fromkeys(REFS, True)}
    body = {"version": seen["version"], **first, **on}
    url = f"{server.url}/api/chain"
    assert requests.put(url, json=body, headers=server.headers(), timeout=PATIENCE).ok


def served(server: Server) -> str:
    """Who answers the next call of a program."""
    with server.client() as client:
        answer = client.chat.completions.create(model="auto", messages=HELLO, max_tokens=5)
    return answer.choices[0].message.content or ""


def order(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all("[data-rows] .row", "rows => rows.map(r => r.id)")
    return found
