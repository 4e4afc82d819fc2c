"""The running server, asked at random after its own description: it keeps to what it says.

schemathesis makes requests that fit ``/v1/openapi.json`` and such as do not, at every bound of
every field. Whatever comes back is a status, headers and a body that are described there; what
does not fit is refused, what fits is not.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.server import ROOT, Server, config
from tests.fakes.provider import (
    FakeProvider,
    Reply,
    SeenRequest,
    calls_tool,
    errors_in_band,
    raw_body,
    resets,
    says,
    status,
)

pytestmark = pytest.mark.e2e

CONTRACT = ROOT / "tests" / "e2e" / "contract"
EXAMPLES = int(os.environ.get("FREELLMAPI_TEST_EXAMPLES", "60"))
"""Random requests for each operation, beside some hundred at the bounds."""
REPLIES: tuple[Reply, ...] = (
    says("hello"),
    calls_tool("look", "{}"),
    status(500),
    says("hello"),
    status(429, Retry_After="1"),
    raw_body(b"<html>oops"),
    says("hello"),
    errors_in_band({"error": {"message": "broken"}}, after=1),
    resets(),
)


def test_the_server_keeps_to_its_description(tmp_path: Path) -> None:
    replies = itertools.cycle(REPLIES)

    def choose(request: SeenRequest) -> Reply | None:
        return next(replies) if request.method == "POST" else None

    with FakeProvider() as fake:
        fake.chooser = choose
        urls = dict.fromkeys(("one", "two", "three"), fake.base_url)
        with Server(tmp_path, config(urls, max_wait=0, probe_interval=0)) as server:
            done = _schemathesis(server, tmp_path)
            log = server.log()
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    assert len(fake.requests) > 100, "hardly any request was good enough for a provider"
    assert "4 selected / 4 total" in done.stdout
    assert "Traceback" not in log


def _schemathesis(server: Server, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [
        *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
        *("--config-file", str(CONTRACT / "schemathesis.toml")),
        *("run", f"{server.url}/v1/openapi.json", "--no-color"),
        *("--header", f"Authorization: Bearer {server.token}"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES)),
        *("--seed", "1", "--generation-deterministic"),
        "--continue-on-failure",
    ]
    environ = server.environ | {"SCHEMATHESIS_HOOKS": "tests.e2e.contract.hooks"}
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=600
    )
