from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cli.conftest import Run


def explained(run: Run, *words: str) -> Any:
    result = run("explain", *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_a_model_that_can_be_asked(run: Run) -> None:
    found = explained(run, "lab/alpha")
    assert [c["model"] for c in found["candidates"]] == ["lab/alpha"]
    assert found["skipped"] == []


def test_a_model_without_a_key_says_so(run: Run) -> None:
    found = explained(run, "groq/openai/gpt-oss-120b")
    assert found["candidates"] == []
    assert "no key for groq" in found["skipped"][0]["reason"]


def test_a_request_that_a_model_cannot_serve(run: Run, tmp_path: Path) -> None:
    body = {
        "model": "lab/alpha",
        "messages": [{"role": "user", "content": "Hello"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    }
    path = tmp_path / "request.json"
    path.write_text(json.dumps(body))
    assert explained(run, "--file", str(path))["candidates"] == []
    named = explained(run, "lab/beta", "--file", str(path))
    assert [c["model"] for c in named["candidates"]] == ["lab/beta"]


def test_auto_is_asked_in_the_order_of_the_chain(run: Run) -> None:
    run("chain", "move", "lab/beta", "1")
    assert explained(run)["candidates"][0]["model"] == "lab/beta"
    assert run("explain").output.splitlines()[1].split()[:2] == ["1", "lab/beta"]


def test_an_unknown_model_and_a_bad_body_fail(run: Run, tmp_path: Path) -> None:
    result = run("explain", "lab/alpah")
    assert (result.exit_code, "lab/alpha" in result.stderr) == (1, True)
    path = tmp_path / "request.json"
    path.write_text("{")
    assert "not valid JSON" in run("explain", "--file", str(path)).stderr
