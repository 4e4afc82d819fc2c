"""The playground in a real browser, through gunicorn, with fake providers behind it."""

from __future__ import annotations

import ast
import base64
import json
import subprocess
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, FilePayload, StorageState, expect

from tests.e2e import browser as harness
from tests.e2e.browser import DESKTOP, PASSWORD, PHONE, Person, axe, cut, shot, too_wide
from tests.e2e.playground import ask, choose, message
from tests.e2e.server import Server, config
from tests.fakes.provider import (
    FakeProvider,
    calls_tool,
    drips,
    errors_in_band,
    says,
    status,
)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(harness.chromium() is None, reason="there is no Chromium here"),
]

LONG = "openrouter/nvidia/nemotron-3-nano-omni-30b-a3b-reasoning:free"
MARKDOWN = """## Two kinds of tree

A **B-tree** updates *in place*; an `LSM` tree appends. See https://example.org/trees.

| | B-tree | LSM |
|---|---|---:|
| Reads | fast | 12 |
| Writes | steady | 3 |

1. Write to the log
2. Then to memory
   - sorted
   - small

```python
def merge(a, b):
    return sorted([*a, *b])  # <b>not bold</b>
```

> Measure first.
"""
ATTACK = """<script>window.hit = 1</script> <img src=x onerror="window.hit = 2">
[click](javascript:window.hit=3) [data](data:text/html,<script>window.hit=4</script>)
![image](https://example.org/x.png" onerror="window.hit=5)
<a href="javascript:window.hit=6">raw</a> [ok](https://example.org/fine)
[split](java
script:window.hit=7) [quote](https://example.org/" onclick="window.hit=8)

| <img src=x onerror=window.hit=9> | b |
|---|---|
| <svg onload=window.hit=10> | [x](vbscript:window.hit=11) |

<svg><script>window.hit = 14</script></svg>
<math><a xlink:href="javascript:window.hit=15">m</a></math>
<iframe srcdoc="<script>parent.hit = 16</script>"></iframe> <style>body { display: none }</style>
<form action="https://evil.example"><button formaction="javascript:window.hit=17">go</button></form>
[tab](java&#x09;script:window.hit=18) [entity](&#106;avascript:window.hit=19) [bare](//evil.example)
<https://example.org/"onmouseover="window.hit=20> <details open ontoggle=window.hit=21>

```html"><img src=x onerror=window.hit=12>
<script>window.hit = 13</script>
```
"""
TOOL_USER = """
[[providers]]
id = "lab"
base_url = "{url}"
key = "none"
models = [{{ id = "handy", context = 100000, tools = true, vision = true }}]
"""
DOT = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
"""An image of one pixel."""
LATE_MS = 5_000
KNOWN = {
    *("a", "br", "code", "div", "em", "p", "pre", "span", "strong"),
    *("table", "thead", "tbody", "tr", "th", "td", "button", "svg", "use"),
}
"""Elements that an attack in Markdown may become; the last three are the button that copies."""
DEEPEST = 60


@pytest.fixture(scope="module")
def fakes() -> Iterator[tuple[FakeProvider, FakeProvider]]:
    with FakeProvider() as first, FakeProvider() as second:
        yield first, second


@pytest.fixture(scope="module")
def server(
    fakes: tuple[FakeProvider, FakeProvider], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    urls = {"google": fakes[0].base_url, "groq": fakes[1].base_url}
    folder = tmp_path_factory.mktemp("playground")
    keys = [("google", "of-google"), ("groq", "of-groq")]
    more = TOOL_USER.format(url=fakes[0].base_url)
    text = config(urls, keys=keys, more=more, stream_recovery="error", probe_interval=0)
    with Server(folder, text) as server:
        server.cli("admin", "create", "ada", "--password-stdin", stdin=f"{PASSWORD}\n")
        yield server


@pytest.fixture
def first(fakes: tuple[FakeProvider, FakeProvider]) -> FakeProvider:
    return _emptied(fakes[0])


@pytest.fixture
def second(fakes: tuple[FakeProvider, FakeProvider]) -> FakeProvider:
    return _emptied(fakes[1])


@pytest.fixture
def person(
    browser: Browser,
    server: Server,
    login: StorageState,
    first: FakeProvider,
    second: FakeProvider,
) -> Iterator[Person]:
    person = Person(browser, server, storage_state=login)
    person.page.goto("/playground")
    yield person
    person.close()
    assert person.complaints == []


def _emptied(fake: FakeProvider) -> FakeProvider:
    fake.script.clear()
    fake.requests.clear()
    fake.closed.clear()
    fake.default = says("hi")
    return fake


def test_a_stream_with_a_failover_is_told(
    person: Person, first: FakeProvider, second: FakeProvider
) -> None:
    page = person.page
    first.default = status(429, Retry_After="2")
    second.script = [says(MARKDOWN)]
    answer = ask(page, "Compare B-trees and LSM trees.", "auto")
    line = answer.locator("[data-line]")
    expect(line).to_contain_text("after google (429)")
    expect(line).to_contain_text("groq / m")
    for words in ("to first token", "tok/s", "tokens"):
        expect(line).to_contain_text(words)
    answer.get_by_text("1 failed attempt").click()
    expect(answer.locator(".pg-tries li")).to_contain_text("rate limited")
    expect(answer.locator("table td")).to_have_count(6)
    expect(answer.locator("pre code")).to_contain_text("<b>not bold</b>")
    expect(answer.locator("li li")).to_have_count(2)
    for size, suffix in ((DESKTOP, ""), (PHONE, "-phone")):
        page.set_viewport_size({"width": size["width"], "height": size["height"]})
        for dark in (False, True):
            page.emulate_media(color_scheme="dark" if dark else "light")
            shot(page, f"playground-answer-{'dark' if dark else 'light'}{suffix}")
            assert axe(page) == []
            assert too_wide(page) <= 0


def test_stop_ends_the_providers_call(person: Person, second: FakeProvider) -> None:
    page = person.page
    gate = threading.Event()
    second.script = [drips("The first words", " never come", gate=gate)]
    try:
        answer = ask(page, "Go on for long.")
        expect(answer).to_contain_text("The first words")
        page.keyboard.press("Escape")
        expect(answer).to_contain_text("Stopped here.")
        assert second.wait_client_gone(5)
    finally:
        gate.set()
    second.script = [says("and on.")]
    answer.get_by_role("button", name="Continue").click()
    expect(answer.locator(".md")).to_have_text("The first wordsand on.")
    sent = second.requests[-1].json["messages"]
    assert [m["role"] for m in sent] == ["user", "assistant", "user"]
    assert sent[1]["content"] == "The first words"


def test_nothing_in_an_answer_runs(person: Person, second: FakeProvider) -> None:
    page = person.page
    second.script = [says(ATTACK)]
    answer = ask(page, "Attack!")
    expect(answer.locator("[data-line]")).to_contain_text("tokens")
    assert page.evaluate("window.hit") is None
    body = answer.locator(".md")
    made = "(e) => [...new Set([...e.querySelectorAll('*')].map((x) => x.localName))].sort()"
    assert set(body.evaluate(made)) <= KNOWN
    links = body.locator("a").evaluate_all("(all) => all.map((a) => [a.href, a.rel])")
    assert links
    assert all(href.startswith("https://") and "noopener" in rel for href, rel in links), links
    attributes = "(e) => [...e.querySelectorAll('*')].flatMap((x) => x.getAttributeNames())"
    assert [name for name in body.evaluate(attributes) if name.startswith("on")] == []


def test_markdown_is_made_of_elements(person: Person) -> None:
    """A table of what is written and what becomes of it."""
    cases = {
        "a **b** *c* ~~d~~ ***e***": "<p>a <strong>b</strong> <em>c</em> <del>d</del> "
        "<em><strong>e</strong></em></p>",
        "2 * 3 * 4 and snake_case_name": "<p>2 * 3 * 4 and snake_case_name</p>",
        "``a`b`` \\*no\\*": "<p><code>a`b</code> *no*</p>",
        "one\ntwo\n\nthree": "<p>one<br>two</p><p>three</p>",
        "- a\n- b\n  1. c\n\nd": "<ul><li>a</li><li>b<ol><li>c</li></ol></li></ul><p>d</p>",
        "3. a\n4. b": '<ol start="3"><li>a</li><li>b</li></ol>',
        "> a\n> b": "<blockquote><p>a<br>b</p></blockquote>",
        "---": "<hr>",
        "[a](javascript:alert(1))": "<p>[a](javascript:alert(1))</p>",
        "**open": "<p>**open</p>",
        "&lt;b&gt; <b>": "<p>&amp;lt;b&amp;gt; &lt;b&gt;</p>",
    }
    made = person.page.evaluate(
        """async (cases) => {
          const lib = document.querySelector('link[href$="lib/markdown.js"]').href;
          const {markdown} = await import(lib);
          return cases.map((text) => {
            const holder = document.createElement("div");
            holder.append(markdown(text));
            return holder.innerHTML;
          });
        }""",
        list(cases),
    )
    assert dict(zip(cases, made, strict=True)) == cases


def test_markdown_of_hostile_length_takes_no_time(person: Person) -> None:
    spent, deepest = person.page.evaluate(
        """async () => {
          const lib = document.querySelector('link[href$="lib/markdown.js"]').href;
          const {markdown} = await import(lib);
          const began = performance.now();
          const depth = (e) => 1 + Math.max(0, ...[...e.children].map(depth));
          let deepest = 0;
          for (const piece of ["*a ", "[", "`a", "> ", "- ", "| ", "_a", "![](", "**a_b"]) {
            for (const text of [piece.repeat(10_000), ladder(piece)]) {
              deepest = Math.max(deepest, depth(markdown(text)));
            }
          }
          return [performance.now() - began, deepest];

          function ladder(piece) {
            return Array.from({length: 400}, (_, i) => " ".repeat(2 * i) + piece).join("\\n");
          }
        }"""
    )
    assert spent < LATE_MS
    assert deepest < DEEPEST


def test_an_expired_session_keeps_the_text(person: Person, second: FakeProvider) -> None:
    page = person.page
    choose(page, "groq/m")
    page.get_by_role("textbox", name="Message", exact=True).fill("Written with care")
    person.context.clear_cookies(name="freellmapi_session")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Log in to go on")).to_be_visible()
    expect(page.locator(".pg-said")).to_have_text("Written with care")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".pg-answer .md")).to_have_text("hi")
    assert second.requests[-1].json["messages"][-1]["content"] == "Written with care"
    person.complaints = [c for c in person.complaints if "401" not in c]


def test_a_broken_stream_keeps_what_came(person: Person, second: FakeProvider) -> None:
    page = person.page
    second.script = [
        errors_in_band({"error": {"message": "overloaded"}}, texts=["Half of"], after=1)
    ]
    answer = ask(page, "Tell me.")
    expect(answer).to_contain_text("The answer broke off here.")
    expect(answer.locator(".md")).to_have_text("Half of")
    shot(page, "playground-broken")
    assert axe(page) == []
    page.reload()
    answer = page.locator(".pg-answer").last
    expect(answer.locator(".md")).to_have_text("Half of")
    second.script = [says("the whole")]
    answer.locator(".pg-mark").get_by_role("button", name="Retry").click()
    expect(page.locator(".pg-answer .md")).to_have_text("the whole")
    expect(page.get_by_text("2 of 2")).to_be_visible()


def test_two_models_answer_side_by_side(
    person: Person, first: FakeProvider, second: FakeProvider
) -> None:
    page = person.page
    first.script, second.script = [drips("from lab", delay=0.3)], [says("from groq")]
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_role("combobox", name="Compare with").fill("lab/handy")
    shot(page, "playground-picker")
    assert axe(page) == []
    page.keyboard.press("Enter")
    ask(page, "Who are you?")
    expect(page.locator(".pg-answer")).to_have_count(2)
    expect(page.locator(".pg-answer .md").nth(0)).to_have_text("from groq")
    expect(page.locator(".pg-answer .md").nth(1)).to_have_text("from lab")
    page.get_by_role("button", name="Go on with this one").click()
    shot(page, "playground-compare")
    assert axe(page) == []
    page.set_viewport_size(PHONE)
    send = page.get_by_role("button", name="Send").bounding_box()
    assert send and send["width"] == send["height"]
    choose(page, LONG)
    message(page).fill("one line\nand another")
    shot(page, "playground-compare-phone")
    assert cut(page, "[data-pick] [data-name]") == []
    message(page).fill("")
    choose(page, "groq/m")
    page.set_viewport_size(DESKTOP)
    page.get_by_role("button", name="Stop comparing").click()
    ask(page, "And now?")
    expect(page.locator(".pg-answer")).to_have_count(3)
    assert second.requests[-1].json["messages"][1]["content"] == "from lab"


def test_options_go_along_and_are_judged_at_their_field(
    person: Person, first: FakeProvider
) -> None:
    page = person.page
    first.script = [calls_tool("weather", {"city": "Oslo"}), says("It rains.")]
    page.get_by_label("System prompt").fill("Be brief.")
    page.get_by_label("Temperature").fill("0.2")
    page.get_by_label("Tools").fill("[{")
    choose(page, "lab/handy")
    message(page).fill("Weather in Oslo?")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This is not JSON")).to_be_visible()
    expect(page.get_by_label("Tools")).to_be_focused()
    expect(page.get_by_role("textbox", name="Message", exact=True)).to_have_value(
        "Weather in Oslo?"
    )
    assert first.requests == []
    page.get_by_label("Tools").fill(
        '[{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]'
    )
    page.get_by_role("button", name="Send").click()
    page.get_by_label("Result of weather").fill('{"sky": "rain"}')
    page.get_by_role("button", name="Send results").click()
    expect(page.locator(".pg-answer .md").last).to_have_text("It rains.")
    shot(page, "playground-tools")
    body = first.requests[-1].json
    assert body["temperature"] == 0.2
    assert [m["role"] for m in body["messages"]] == ["system", "user", "assistant", "tool"]


def test_conversations_are_kept_and_deleted(person: Person, second: FakeProvider) -> None:
    page = person.page
    expect(ask(page, "First question").locator("[data-line]")).to_contain_text("tokens")
    page.get_by_role("button", name="New", exact=True).click()
    page.get_by_role("textbox", name="Message", exact=True).fill("A draft")
    page.wait_for_timeout(1_100)
    page.reload()
    expect(page.get_by_role("textbox", name="Message", exact=True)).to_have_value("A draft")
    page.get_by_label("Conversations in this browser").click()
    shot(page, "playground-conversations")
    page.get_by_role("button", name="First question", exact=False).first.click()
    expect(page.locator(".pg-said")).to_have_text("First question")
    page.get_by_label("Conversations in this browser").click()
    page.get_by_label("Delete: First question").click()
    expect(page.locator(".pg-said")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".pg-said")).to_have_text("First question")


def test_an_image_goes_along(person: Person, first: FakeProvider) -> None:
    page = person.page
    png = FilePayload(name="dot.png", mimeType="image/png", buffer=base64.b64decode(DOT))
    page.locator("[data-file]").set_input_files(png)
    expect(page.get_by_alt_text("Image 1")).to_be_visible()
    answer = ask(page, "What is this?", "lab/handy")
    expect(answer.locator(".md")).to_have_text("hi")
    content = first.requests[-1].json["messages"][0]["content"]
    assert content[1]["image_url"]["url"].startswith("data:image/png;base64,")
    assert content[0]["text"] == "What is this?"


def test_copies_ask_the_same(person: Person) -> None:
    words = 'It\'s "so"\n$HOME `x` \\ é'
    body = {
        "model": "auto",
        "messages": [{"role": "user", "content": words}],
        "tools": [],
        "temperature": 0.5,
        "stream": True,
        "extra": None,
    }
    command, program = person.page.evaluate(
        """async (body) => {
          const lib = document.querySelector('link[href$="playground-request.js"]').href;
          const {curl, python} = await import(lib);
          return [curl(body), python(body)];
        }""",
        body,
    )
    shell = f"curl() {{ cat; }}\n{command}"
    told = subprocess.run(["bash", "-c", shell], capture_output=True, check=True).stdout
    assert json.loads(told) == body
    calls = [node for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Call)]
    create = next(call for call in calls if ast.unparse(call.func).endswith(".create"))
    assert {k.arg: ast.literal_eval(k.value) for k in create.keywords} == body


def test_a_refusal_is_told_in_words(person: Person, second: FakeProvider) -> None:
    page = person.page
    second.default = status(400, {"error": {"message": "No such luck", "code": None}})
    answer = ask(page, "Try.")
    expect(answer).to_contain_text("Nobody answered.")
    expect(answer).to_contain_text("No such luck")
    shot(page, "playground-refused")
    person.complaints = [c for c in person.complaints if "400" not in c]
