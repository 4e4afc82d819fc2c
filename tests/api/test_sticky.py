"""A conversation keeps its model, and what was measured outlives the process."""

from __future__ import annotations

from collections.abc import Callable

from flask.testing import FlaskClient

from freellmapi.services import Services
from tests.api.conftest import CONFIG
from tests.fakes.provider import FakeProvider, says, status

PATH = "/v1/chat/completions"
U, A = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}


def test_a_conversation_stays_where_it_was_answered(
    client: FlaskClient,
    fake: FakeProvider,
    services: Services,
    build: Callable[[str], Services],
) -> None:
    fake.script = [status(500), says("a"), says("b"), says("c")]
    first = client.post(PATH, json={"messages": [U]})
    assert first.headers["X-Routed-Via"] == "lab/seer"
    second = client.post(PATH, json={"messages": [U, A, U]})
    assert second.headers["X-Routed-Via"] == "lab/seer"
    fresh = client.post(PATH, json={"messages": [{"role": "user", "content": "other"}]})
    assert fresh.headers["X-Routed-Via"] == "lab/alpha"
    fake.script = []
    stream = client.post(PATH, json={"messages": [U, A, U], "stream": True})
    assert b"[DONE]" in stream.get_data()
    assert stream.headers["X-Routed-Via"] == "lab/seer"
    services.close()
    again = build(CONFIG.format(url=fake.base_url))
    found = {m.ref: m for m in again.gateway.preferences.measurements.all()}
    assert set(found) == {"lab/alpha", "lab/seer"}
    assert found["lab/seer"].first_token.weight == 1
    assert found["lab/seer"].success.weight > 2.9
    assert 0.1 < found["lab/alpha"].success.value < 0.9
