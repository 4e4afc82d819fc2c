"""What owners change while traffic flows: every request is answered, and nothing is torn."""

from __future__ import annotations

import json
import random
import re
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.owner import Owner
from tests.e2e.server import HELLO, PATIENCE, Server, config
from tests.e2e.stage import ask
from tests.fakes.provider import FakeProvider, drips, later, says, streams

pytestmark = pytest.mark.e2e

NAMES = ("one", "two", "three", "open")
CLIENTS = 6
EDITS = 15
FOLLOWED = 10.0
"""Seconds; three are promised, the rest is for a busy machine."""


class Traffic:
    """Clients that ask without a pause, half of them for streams."""

    def __init__(self, server: Server) -> None:
        self.answered: list[str] = []
        """Who answered, in order."""
        self.wrong: list[str] = []
        self._server = server
        self.over = threading.Event()

    def ask_on(self, number: int) -> None:
        with self._server.client() as client:
            while not self.over.is_set():
                seen = ask(client, "auto", stream=number % 2 == 0, messages=HELLO)
                if seen.error is None and seen.finish == "stop":
                    self.answered.append(seen.via)
                else:
                    self.wrong.append(f"{seen.status}: {seen.error}")

    def more(self, count: int = 3 * CLIENTS) -> None:
        """Returns when so many more are answered."""
        wanted = len(self.answered) + count
        self._server.until(lambda: len(self.answered) >= wanted, "traffic flows")


@contextmanager
def traffic(server: Server) -> Iterator[Traffic]:
    """Flowing for as long as the block takes; at its end, all of it was answered well."""
    found = Traffic(server)
    with ThreadPoolExecutor(CLIENTS) as pool:
        asking = [pool.submit(found.ask_on, number) for number in range(CLIENTS)]
        try:
            found.more()
            yield found
            found.more()
        finally:
            found.over.set()
        for each in asking:
            each.result(PATIENCE)
    assert not found.wrong, found.wrong[:5]


@pytest.fixture
def fake() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        fake.chooser = lambda request: later(
            0.01, streams("one ", "two") if request.streamed else says("hi")
        )
        yield fake


@pytest.fixture
def server(tmp_path: Path, fake: FakeProvider) -> Iterator[Server]:
    """Four providers; the last one needs no key, so that somebody can always answer."""
    with Server(tmp_path, text_of(fake)) as server:
        yield server


def text_of(fake: FakeProvider, chain: list[str] | None = None) -> str:
    keys = [(name, f"{name}-key") for name in NAMES[:-1]]
    order = chain or [f"{name}/m" for name in NAMES]
    return config(dict.fromkeys(NAMES, fake.base_url), chain=order, keys=keys)


def test_two_dashboards_edit_the_chain_and_keys(server: Server, fake: FakeProvider) -> None:
    owners = [Owner(server), Owner(server, makes_account=False)]
    before = owners[0].chain(server)
    rng = random.Random(8)

    def edit(owner: Owner, name: str) -> int:
        """Orders, switches, and keys that come and go; how often the other was quicker."""
        late = 0
        for n in range(EDITS):
            while True:
                seen = owner.chain(server)
                assert sorted(seen["order"]) == sorted(before["order"]), "no model lost or doubled"
                order = rng.sample(seen["order"], len(seen["order"]))
                change = {"version": seen["version"], "order": order}
                changed = owner.send(server, "PUT", "/api/chain", change)
                if changed.status_code != 409:
                    break
                late += 1
            assert changed.status_code == 200, changed.text
            assert sorted(changed.json()["order"]) == sorted(order)
            key = {"provider": name, "key": f"{name}-extra-{n}", "force": "yes"}
            added = owner.send(server, "POST", "/api/keys", key)
            assert added.status_code == 200, added.text
            for verb in ("disable", "enable", "remove"):
                done = owner.send(server, "POST", f"/api/keys/{added.json()['key']}/{verb}", {})
                assert done.status_code == 200, done.text
        return late

    with traffic(server) as flowing, ThreadPoolExecutor(2) as pool:
        late = list(pool.map(edit, owners, NAMES))
        flowing.more()
    assert sorted(owners[0].chain(server)["order"]) == sorted(before["order"])
    listed = server.cli("keys", "list", "--json")
    assert "extra" not in listed
    owners[1].put_first(server, "three/m")
    assert owners[0].chain(server)["order"][0] == "three/m", "in force at once, in each session"
    assert not re.search("Traceback| ERROR ", server.log())
    used = {call.key for call in fake.requests if call.key}
    assert used >= {"one-key", "two-key"}
    sys.stdout.write(
        f"{len(flowing.answered)} answers, {sum(late)} edits were made on an older chain\n"
    )


def test_a_key_removed_in_the_middle_of_its_answer(server: Server, fake: FakeProvider) -> None:
    owner, gate = Owner(server), threading.Event()
    fake.chooser = None
    fake.default = says("hi")
    fake.script = [drips("first", "second", gate=gate)]
    with server.client() as client:
        stream = client.chat.completions.create(model="one/m", messages=HELLO, stream=True)
        with stream:
            texts = (c.choices[0].delta.content for c in stream if c.choices)
            assert next(text for text in texts if text) == "first"
            id = next(k["id"] for k in keys_of(server) if k["provider"] == "one")
            assert owner.send(server, "POST", f"/api/keys/{id}/remove", {}).status_code == 200
            after = ask(client, "auto", stream=False, messages=HELLO)
            assert after.error is None
            gate.set()
            assert [text for text in texts if text] == ["second"], "who had it goes on"
    assert len(fake.requests) == 2
    assert fake.requests[0].key == "one-key"
    assert fake.requests[1].key != "one-key", "nobody new uses it"
    server.until(lambda: len(server.rows()) == 2, "both are logged")
    assert {row.status for row in server.rows()} == {200}


def keys_of(server: Server) -> list[dict[str, object]]:
    found = json.loads(server.cli("keys", "list", "--json"))
    keys: list[dict[str, object]] = found["keys"] if isinstance(found, dict) else found
    return keys


def test_the_encryption_key_is_rotated_under_load(server: Server, fake: FakeProvider) -> None:
    with traffic(server) as flowing:
        said = server.cli("rotate-encryption-key")
        new = re.findall(r"\b[0-9a-f]{64}\b", said)[-1]
        flowing.more()
        # Sealed by the new key, and opened by a server that was started with the old one.
        server.cli("keys", "add", "open", stdin="later-key\n")
        server.cli("chain", "move", "open/m", "1")
        server.until(
            lambda: any(call.key == "later-key" for call in fake.requests),
            "what was sealed anew is used",
            FOLLOWED,
        )
        server.environ["ENCRYPTION_KEY"] = new
        server.cli("rotate-encryption-key", "--finish")
        flowing.more()
    assert server.stop() == 0
    server.start()
    with traffic(server):
        pass
    assert server.log().count("cannot be decrypted") == 0


def becomes(flowing: Traffic, server: Server, via: str) -> None:
    server.until(lambda: set(flowing.answered[-CLIENTS:]) == {via}, f"{via} answers", FOLLOWED)


def test_the_configuration_file_is_read_anew(server: Server, fake: FakeProvider) -> None:
    worker = worker_of(server)
    with traffic(server) as flowing:
        becomes(flowing, server, "one/m")
        keys = len(keys_of(server))
        server.config_file.write_text(text_of(fake, ["two/m", "open/m"]))
        becomes(flowing, server, "two/m")
        assert len(keys_of(server)) == keys, "the same keys are not stored again"
        server.config_file.write_text("chain = [")
        says_so(server, "stays in force")
        flowing.more()
        becomes(flowing, server, "two/m")
        server.config_file.unlink()
        says_so(server, "cannot be read")
        becomes(flowing, server, "two/m")
        server.config_file.write_text(text_of(fake, ["open/m"]))
        becomes(flowing, server, "open/m")
    assert worker_of(server) == worker, "nobody was restarted for it"


def test_a_reload_takes_nothing_that_cannot_work(server: Server, fake: FakeProvider) -> None:
    worker, process = worker_of(server), server.process
    assert process is not None
    with traffic(server):
        sound = server.config_file.read_text()
        server.config_file.write_text("[[[")
        process.send_signal(signal.SIGHUP)
        says_so(server, "not reloaded, all stays as it was")
        assert worker_of(server) == worker
        server.config_file.write_text(sound)
    # A connection that the old worker closes as its client asks is for the client to ask again.
    process.send_signal(signal.SIGHUP)
    server.until(lambda: worker_of(server) not in ("", worker), "another worker is there")
    server.until(lambda: not Path(f"/proc/{worker}").exists(), "the old one is gone")
    server.until(lambda: server.get("/readyz").status_code == 200, "it is ready")
    with traffic(server):
        pass


def says_so(server: Server, what: str) -> None:
    server.until(lambda: what in server.log(), f"it says {what!r}", FOLLOWED)


def worker_of(server: Server) -> str:
    """The newest one's process id."""
    assert server.process is not None
    pid = server.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return children[-1] if children else ""
