from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from datetime import timezone
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from freellmapi.app import build_services
from freellmapi.cli.explain import as_json
from freellmapi.cli.explained import explained_text, happened_text
from freellmapi.core.errors import ErrorKind
from freellmapi.core.limits import Limits, Usage
from freellmapi.core.measurement import Average, Measurement
from freellmapi.core.route import Attempt
from freellmapi.router.explain import explain
from freellmapi.router.happened import happened
from freellmapi.router.judge import Picture
from freellmapi.router.measurements import Measurements
from freellmapi.router.preferences import Preference
from freellmapi.router.resolve import resolve
from freellmapi.router.snapshot import LiveKey
from freellmapi.services import Services
from freellmapi.settings import Settings
from freellmapi.storage.logged import LoggedRequest
from tests.cli.conftest import Run
from tests.fakes import postgres
from tests.fakes.application import application
from tests.fakes.clock import FrozenClock
from tests.router.conftest import Lab, chat, failed, model, provider, snapshot

ROUTING = Path(__file__).parent.parent.parent / "docs" / "routing.md"


@pytest.fixture(autouse=True)
def nobody_listens(environ: dict[str, str]) -> None:
    """No server of this machine's is to be found by chance."""
    environ["PORT"] = "1"


def explained(run: Run, *words: str) -> Any:
    result = run("explain", *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_a_model_that_can_be_asked(run: Run) -> None:
    found = explained(run, "lab/alpha")
    assert [c["model"] for c in found["candidates"]] == ["lab/alpha"]
    assert (found["next"]["model"], found["left_out"]) == ("lab/alpha", [])
    assert found["source"] == "database"


def test_a_model_without_a_key_says_so(run: Run) -> None:
    found = explained(run, "groq/openai/gpt-oss-120b")
    assert (found["candidates"], found["next"]) == ([], None)
    assert found["left_out"][0]["reason"] == "no key for groq"
    assert "no key for groq" in run("explain", "groq/openai/gpt-oss-120b").output


def test_a_request_that_a_model_cannot_serve(run: Run, tmp_path: Path) -> None:
    body = {
        "model": "lab/alpha",
        "messages": [{"role": "user", "content": "Hello"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    }
    path = tmp_path / "request.json"
    path.write_text(json.dumps(body))
    assert explained(run, "--file", str(path))["next"] is None
    named = explained(run, "lab/beta", "--file", str(path))
    assert named["next"]["model"] == "lab/beta"


def test_auto_is_asked_in_the_order_of_the_chain(run: Run) -> None:
    run("chain", "move", "lab/beta", "1")
    assert explained(run)["candidates"][0]["model"] == "lab/beta"
    (line,) = re.findall(r"^→ +1 .*$", run("explain").output, re.MULTILINE)
    assert "lab/beta" in line


def test_an_unknown_model_and_a_bad_body_fail(run: Run, tmp_path: Path) -> None:
    result = run("explain", "lab/alpah")
    assert (result.exit_code, "lab/alpha" in result.stderr) == (1, True)
    path = tmp_path / "request.json"
    path.write_text("{")
    assert "not valid JSON" in run("explain", "--file", str(path)).stderr


def row(*attempts: Attempt, **fields: Any) -> LoggedRequest:
    return LoggedRequest(
        **{
            "request_id": "req_1",
            "at": FrozenClock().now(),
            "token_id": None,
            "model": "auto",
            "stream": True,
            "status": 200,
            "error": None,
            "provider": "lab",
            "served_model": "beta",
            "key_id": "anonymous",
            "prompt_tokens": 9,
            "completion_tokens": 1_200,
            "exact": True,
            "duration": 12.3,
            "first_token": 0.75,
            "attempts": attempts,
            **fields,
        }
    )


AT = FrozenClock().now()
REFUSED = Attempt("lab", "alpha", "1", AT, 0.2, ErrorKind.RATE_LIMITED, 429, "slow down")
ANSWERED = Attempt("lab", "beta", "anonymous", AT + 0.3, 12.0, usage=Usage(9, 1_200))


def test_a_past_request_is_found_by_its_id(run: Run, environ: dict[str, str]) -> None:
    services = build_services(Settings.from_env(environ), FrozenClock())
    services.request_log.append(row(REFUSED, ANSWERED))
    services.close()

    found = explained(run, "--request-id", "req_1")

    assert (found["served_by"], len(found["attempts"])) == ("lab/beta", 2)
    text = run("explain", "--request-id", "req_1").output
    assert re.search(r"^✗ +1 +lab/alpha .* 429 +rate_limited: slow down$", text, re.MULTILINE)
    assert re.search(r"^✓ +2 +lab/beta +no key +0.3 s +12 s ", text, re.MULTILINE)


def test_an_unknown_request_fails_and_one_with_a_model_is_wrong_usage(run: Run) -> None:
    assert run("explain", "--request-id", "req_2").exit_code == 1
    assert run("explain", "auto", "--request-id", "req_2").exit_code == 2


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param({}, "lab/beta served it: 200 after 12 s, the first token", id="served"),
        pytest.param(
            {"provider": None, "status": 429, "error": "rate_limited", "first_token": None},
            "It was answered with 429 (rate_limited) after 12 s.",
            id="not served",
        ),
        pytest.param(
            {"status": 499, "error": "client_gone"}, "499 (client_gone)", id="the client left"
        ),
    ],
)
def test_how_a_request_ended_is_one_sentence(fields: dict[str, Any], said: str) -> None:
    found = as_json(happened(row(ANSWERED, **fields), snapshot(model("lab"))))
    assert said in happened_text(found)


def test_nobody_was_asked() -> None:
    found = as_json(happened(row(provider=None, status=503), snapshot(model("lab"))))
    assert "Nobody was asked" in happened_text(found)


def story(*, strategy: str = "auto") -> dict[str, Any]:
    """A pool in which every gate is shut for somebody."""
    small = Limits(rpm=30, tpm=6_000)
    models = [
        model("groq", "llama", context=131_072, limits=small, intelligence_rank=30, speed_rank=2),
        model("cerebras", "qwen", context=8_192, limits=Limits(rpd=1_000), intelligence_rank=20),
        model("mistral", "small", context=1_024),
        model("lab", "own", context=32_768, intelligence_rank=60),
        model("cohere", "command", context=131_072),
    ]
    keys = [
        LiveKey("1", "groq", "main"),
        LiveKey("2", "groq", "spare"),
        LiveKey("3", "groq", "old", usable=False, reason="its key is disabled"),
        LiveKey("4", "cerebras", "csk-••••9f2a"),
        LiveKey("5", "mistral", "main"),
        LiveKey("6", "lab", "no key"),
    ]
    names = [provider(id) for id in ("groq", "cerebras", "mistral", "lab", "cohere")]
    town = Lab(snapshot(*models, providers=names, keys=keys), clock=FrozenClock())
    now = town.clock.now()
    for _ in range(12):
        town.ledger.reserve(town.the("groq/llama", "1").buckets, 480, now)
    town.cooldowns.failed(
        town.the("groq/llama", "2"), failed(ErrorKind.RATE_LIMITED, retry_after=14)
    )
    for _ in range(3):
        town.ledger.reserve(town.the("cerebras/qwen", "4").buckets, 900, now)
    request = chat(strategy, prompt_tokens=1_204, max_tokens=None)
    measured = Measurements(
        [Measurement("groq/llama", now, Average(0.95, 20), Average(0.3, 20), Average(400, 20))]
    )
    picture = Picture(town.snapshot, town.cooldowns, town.ledger, town.clock, {})
    preference = Preference(resolve(request, town.snapshot), stuck=False)
    return as_json(explain(request, preference, picture, measured))


def test_the_example_in_the_documents_is_what_is_printed() -> None:
    text = explained_text(story(), timezone.utc)
    assert f"```text\n$ freellmapi explain --file request.json\n{text}\n```" in ROUTING.read_text()


def test_a_strategy_shows_its_scores() -> None:
    text = explained_text(story(strategy="auto:fast"), timezone.utc)
    (line,) = re.findall(r"^groq/llama +0\.\d\d .*$", text, re.MULTILINE)
    assert "tokens/s" in line
    assert "mistral/small" in text
    assert not re.search(r"^cohere/command", text, re.MULTILINE)


def test_when_nobody_can_be_asked_the_time_is_told() -> None:
    found = story()
    found |= {"next": None, "opens_at": found["at"] + 75}
    assert "Nobody can be asked; the first opens in 75 s" in explained_text(found)
    found["opens_at"] = None
    assert "waiting would not help" in explained_text(found)


@pytest.fixture
def server(environ: dict[str, str]) -> Iterator[Services]:
    """A server over the same database, which the commands find."""
    services = build_services(Settings.from_env(environ))
    app = application(Settings.from_env(environ), services)
    httpd = make_server("127.0.0.1", 0, app, threaded=False)
    environ["PORT"] = str(httpd.server_port)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield services
    httpd.shutdown()
    thread.join()
    httpd.server_close()
    services.close()


def test_a_running_server_tells_what_it_has_benched(run: Run, server: Services) -> None:
    (alpha,) = server.configuration.snapshot.candidates["lab/alpha"]
    server.gateway.tools.cooldowns.failed(alpha, failed(ErrorKind.RATE_LIMITED, retry_after=600))

    found = explained(run, "lab/alpha")

    assert (found["source"], found["next"]) == ("server", None)
    assert found["candidates"][0]["gates"][2]["kind"] == "rate_limited"
    text = run("explain", "lab/alpha").output
    assert "rate limited by lab, stated wait, opens in 10 min" in text


def test_a_running_servers_refusal_is_told(run: Run, server: Services) -> None:
    result = run("explain", "lab/alpah")
    assert (result.exit_code, "lab/alpha" in result.stderr) == (1, True)


def test_a_server_of_another_database_is_not_asked(
    run: Run, server: Services, environ: dict[str, str], tmp_path: Path
) -> None:
    environ["FREELLMAPI_DATA_DIR"] = str(tmp_path / "other")
    environ |= postgres.environ_in(tmp_path / "other")
    assert explained(run, "lab/alpha")["source"] == "database"


def test_the_quota_is_the_servers_own(run: Run, server: Services) -> None:
    (alpha,) = server.configuration.snapshot.candidates["lab/alpha"]
    for _ in range(3):
        server.gateway.tools.ledger.reserve(alpha.buckets, 10, server.clock.now())
    found = json.loads(run("quota", "--json").output)
    assert (found["source"], found["today"]["requests_used"]) == ("server", 3)
    (line,) = re.findall(r"^lab/alpha .*$", run("quota").output, re.MULTILINE)
    assert re.search(r"30 requests a minute +3 +27 +in \d+ s", line)
