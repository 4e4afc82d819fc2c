"""Markup in every name and text that comes from elsewhere, on every page, in a real browser.

Nothing of it runs, none of it becomes an element, and the pages' policy is not even needed: a
violation of it would stand in the console.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
import requests
from playwright.sync_api import Browser, Page, StorageState, expect

from tests.e2e import browser as harness
from tests.e2e.browser import PASSWORD, Person
from tests.e2e.playground import choose, message, send
from tests.e2e.server import PATIENCE, Server, config
from tests.fakes.provider import FakeProvider, Reply, SeenRequest, says, status

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(harness.chromium() is None, reason="there is no Chromium here"),
]

KEY = "gsk_" + "4not4a4real4key4" * 4


def hostile(name: str, more: str = "</script>") -> str:
    """Ends an attribute, an element, a script and a template, whichever it stands in."""
    return f"""{name}"'>{more}<img src=q onerror=window.hit="{name}">{{{{7*7}}}}"""


MODEL = hostile("model", "")
LABEL, TOKEN, ASKED, ERROR, SAID = map(hostile, ("label", "token", "asked", "error", "said"))
MORE = f"""
[[providers]]
id = "odd"
base_url = "URL"
key = "none"
models = [{{ id = '''{MODEL}''', context = 100000 }}]
"""
FOREIGN = """[...document.querySelectorAll("*")].filter((e) =>
  e.matches("img[src='q'], script:not([src], [type='application/json'])") ||
  [...e.attributes].some((a) => a.name.startsWith("on") || /^\\s*javascript:/i.test(a.value))
).map((e) => e.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeProvider]:
    refusal = status(401, {"error": {"message": ERROR}})
    failure = status(500, {"error": {"message": ERROR}})

    def choose(request: SeenRequest) -> Reply | None:
        if request.method == "GET":
            return refusal
        return failure if b"fail" in request.body else says(SAID)

    with FakeProvider() as fake:
        fake.chooser = choose
        yield fake


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, fake: FakeProvider) -> Iterator[Server]:
    more = MORE.replace("URL", fake.base_url)
    text = config({"lab": fake.base_url}, chain=["lab/m", f"odd/{MODEL}"], more=more, max_wait=0)
    folder = tmp_path_factory.mktemp("hostile")
    with Server(folder, text, FREELLMAPI_GROQ_BASE_URL=fake.base_url) as server:
        server.cli("admin", "create", "ada", "--password-stdin", stdin=f"{PASSWORD}\n")
        server.cli("keys", "add", "groq", "--label", LABEL, stdin=f"{KEY}\n")
        yield server


@pytest.fixture
def person(browser: Browser, server: Server, login: StorageState) -> Iterator[Person]:
    person = Person(browser, server, storage_state=login)
    yield person
    person.close()
    # Chromium itself notes each answer that is no success.
    assert [c for c in person.complaints if "Failed to load resource" not in c] == []


def shows(page: Page, *texts: str) -> None:
    """They stand on the page, as text and nothing else."""
    page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    for text in texts:
        expect(page.get_by_text(text).first).to_be_attached()
    assert page.evaluate("window.hit") is None
    assert page.evaluate(FOREIGN) == []


def asked(server: Server, model: str, text: str = "Hello") -> None:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    url = f"{server.url}/v1/chat/completions"
    requests.post(url, headers=server.headers(), json=body, timeout=PATIENCE)


def test_labels_models_and_reasons_on_the_page_keys(person: Person) -> None:
    page = person.page
    page.goto("/keys")
    page.locator("#groq > summary").click()
    page.locator("#groq .key").get_by_role("button", name="Check now").click()
    expect(page.locator(".toast").first).to_be_visible()
    shows(page, LABEL)
    page.locator("#odd > summary").click()
    shows(page, MODEL)
    page.reload()
    page.get_by_role("link", name="Import").click()
    page.locator("#env").fill(f"{ASKED}={KEY}\nGROQ_API_KEY={LABEL}\n<b>{ERROR}\n")
    expect(page.locator("[data-preview]")).to_be_visible()
    shows(page, LABEL)


def test_models_and_reasons_on_the_page_chain(person: Person, server: Server) -> None:
    asked(server, f"odd/{MODEL}", "fail")
    asked(server, f"odd/{MODEL}", "fail")
    page = person.page
    page.goto("/chain")
    shows(page, MODEL)
    page.goto(f"/chain#odd/{quote(MODEL)}")
    shows(page, MODEL)


def test_names_and_errors_on_the_page_analytics(person: Person, server: Server) -> None:
    asked(server, ASKED)
    asked(server, f"odd/{MODEL}")
    asked(server, f"odd/{MODEL}", "fail")
    page = person.page
    for by in ("model", "provider", "key", "client"):
        page.goto(f"/analytics?range=24h&by={by}")
        shows(page, ASKED)
    for row in page.locator("[data-request] > summary, .request > summary").all():
        row.click()
    shows(page, ASKED)
    for field in ("model", "provider", "key", "client", "outcome", "tz", "range", "by", "open"):
        page.goto(f"/analytics?{field}={quote(ASKED)}")
        shows(page)


def test_tokens_and_imports_on_the_page_settings(person: Person) -> None:
    page = person.page
    page.goto("/settings")
    page.get_by_label("New token for").fill(TOKEN[:60])
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#token-text")).to_contain_text("freellmapi-")
    page.reload()
    shows(page, TOKEN[:60])
    page.get_by_role("button", name="Revoke").last.click()
    shows(page)
    page.keyboard.press("Escape")
    file = f"""[settings]\npatience = 7\n'{MODEL.replace("'", "")}' = 1\n[[keys]]\n"""
    file += f"provider = '''{ERROR}'''\nkey = '''{LABEL}'''\nlabel = '''{LABEL}'''\n"
    page.get_by_label("Import", exact=True).fill(file)
    page.get_by_role("button", name="Show what would change").click()
    expect(page.locator("[data-import]")).to_contain_text("error")
    shows(page)


def test_the_palette_finds_it_as_text(person: Person) -> None:
    page = person.page
    page.goto("/keys")
    page.keyboard.press("Control+k")
    page.keyboard.type("model\"'>")
    expect(page.locator(".palette-list").get_by_role("option").first).to_contain_text(MODEL)
    shows(page, MODEL)
    page.keyboard.type(SAID)
    shows(page)


def test_answers_errors_and_titles_in_the_playground(person: Person) -> None:
    page = person.page
    page.goto("/playground")
    choose(page, "model\"'>")
    answer = send(page, TOKEN)
    expect(answer).to_contain_text("said")
    shows(page, TOKEN)
    page.reload()
    expect(message(page)).to_be_visible()
    shows(page, TOKEN)
    failed = send(page, f"fail {ASKED}")
    expect(failed).to_contain_text("error")
    shows(page, ASKED)


@pytest.mark.parametrize(
    "path",
    ["/login?next={}", "/{}", "/keys?provider={}", "/v1/docs?x={}", "/static/{}", "/chain?q={}"],
)
def test_nothing_of_an_address_runs(browser: Browser, server: Server, path: str) -> None:
    person = Person(browser, server)
    person.page.goto(path.format(quote(ASKED)))
    shows(person.page)
    person.close()
    assert [c for c in person.complaints if "Failed to load resource" not in c] == []
