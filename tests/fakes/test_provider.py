"""The fake provider itself, seen through a bare socket and ``http.client``."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.fakes.answers import Reply
from tests.fakes.caps import Caps, Gatekeeper
from tests.fakes.clock import FrozenClock
from tests.fakes.provider import (
    FakeProvider,
    calls_tool,
    drips,
    errors_in_band,
    hangs,
    later,
    raw_body,
    resets,
    says,
    stalls,
    status,
    streams,
)

PATH = "/v1/chat/completions"


def ask(fake: FakeProvider, stream: bool = False, key: str = "k") -> http.client.HTTPResponse:
    """The response, its body not read yet."""
    conn = http.client.HTTPConnection("127.0.0.1", fake.port, timeout=5)
    body = json.dumps({"model": "m", "stream": stream, "messages": []})
    conn.request("POST", PATH, body, {"Authorization": f"Bearer {key}", "Connection": "close"})
    return conn.getresponse()


def whole(fake: FakeProvider) -> Any:
    with ask(fake) as response:
        return json.loads(response.read())


def events(data: bytes) -> list[Any]:
    """The JSON of each event; ``[DONE]`` as it is."""
    payloads = [part.removeprefix(b"data: ") for part in data.split(b"\n\n") if part]
    return ["[DONE]" if part == b"[DONE]" else json.loads(part) for part in payloads]


def streamed(fake: FakeProvider) -> list[Any]:
    with ask(fake, stream=True) as response:
        return events(response.read())


def text_of(chunks: list[Any]) -> str:
    deltas = [c["choices"][0]["delta"] for c in chunks if c != "[DONE]" and c["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


def test_says_answers_whole_and_keeps_what_it_saw() -> None:
    with FakeProvider(says("hi there", usage=(7, 3), system_fingerprint="fp")) as fake:
        answer = whole(fake)
        second = whole(fake)
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "hi there"}
    assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    assert answer["system_fingerprint"] == "fp"
    assert second["choices"][0]["message"]["content"] == "hello"
    seen = fake.requests[0]
    assert (seen.method, seen.path, seen.json["model"], seen.key) == ("POST", PATH, "m", "k")
    assert seen.headers["authorization"] == "Bearer k"


def test_says_streams_when_a_stream_is_asked_for() -> None:
    with FakeProvider(says("one two three")) as fake:
        chunks = streamed(fake)
    assert text_of(chunks) == "one two three"
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-3]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-2]["usage"]["total_tokens"] == 7
    assert chunks[-1] == "[DONE]"


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "until close"])
def test_streams_sends_one_event_a_text(chunked: bool) -> None:
    reply = streams("a", "b", chunked=chunked, finish=None, no_done=True, usage=None, role=False)
    with FakeProvider(reply) as fake, ask(fake, stream=True) as response:
        assert response.getheader("Transfer-Encoding") == ("chunked" if chunked else None)
        found = [event["choices"][0]["delta"] for event in events(response.read())]
    assert found == [{"content": "a"}, {"content": "b"}]


def test_streams_is_joined_when_no_stream_is_asked_for() -> None:
    with FakeProvider(streams("he", "llo")) as fake:
        assert whole(fake)["choices"][0]["message"]["content"] == "hello"


def test_streams_can_send_crlf_and_raw_bytes() -> None:
    with FakeProvider(streams("a", crlf=True), streams(raw=[b"data: {", b"oops"])) as fake:
        with ask(fake, stream=True) as response:
            assert response.read().endswith(b"data: [DONE]\r\n\r\n")
        with ask(fake, stream=True) as response:
            assert response.read() == b"data: {oops"


def test_a_cut_comes_after_the_texts_before_it_and_is_abrupt() -> None:
    with FakeProvider(streams("a", "b", "c", cut=2)) as fake, ask(fake, stream=True) as response:
        got = b""
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            while data := response.read1():
                got += data
    assert text_of(events(got)) == "ab"
    assert fake.closed == []


def test_drips_holds_the_second_text_until_its_gate_opens() -> None:
    gate = threading.Event()
    with FakeProvider(drips("first", "second", gate=gate)) as fake:
        with ask(fake, stream=True) as response:
            got = b""
            while b"first" not in got:
                got += response.read1()
            assert b"second" not in got
            gate.set()
            assert text_of(events(got + response.read())) == "firstsecond"


@pytest.mark.parametrize(
    ("reply", "at_least"),
    [
        (drips("a", "b", interval=0.1), 0.1),
        (drips("a", delay=0.1), 0.1),
        (stalls("a", "b", after=1, seconds=0.1), 0.1),
        (later(0.1, says("a")), 0.1),
    ],
    ids=["interval", "delay", "stall", "later"],
)
def test_a_slow_reply_takes_its_time(reply: Reply, at_least: float) -> None:
    began = time.monotonic()
    with FakeProvider(reply) as fake:
        assert streamed(fake)[-1] == "[DONE]"
    assert time.monotonic() - began >= at_least


def test_status_turns_underscores_into_dashes() -> None:
    with FakeProvider(status(429, Retry_After="7"), status(503, "busy")) as fake:
        with ask(fake) as response:
            assert (response.status, response.getheader("Retry-After")) == (429, "7")
            assert json.loads(response.read())["error"]["message"] == "fake 429"
        with ask(fake) as response:
            assert (response.status, response.read()) == (503, b"busy")


def test_raw_body_is_sent_as_it_is() -> None:
    reply = raw_body(b"<html>", content_type="text/html", Content_Encoding="identity")
    with FakeProvider(reply) as fake, ask(fake, stream=True) as response:
        assert (response.getheader("Content-Type"), response.read()) == ("text/html", b"<html>")
        assert response.getheader("Content-Encoding") == "identity"


def test_a_tool_call_is_the_same_whole_and_streamed() -> None:
    reply = calls_tool("look", {"at": "sky"}, ("wait", {}))
    with FakeProvider(reply, reply) as fake:
        choice = whole(fake)["choices"][0]
        chunks = streamed(fake)
    calls = choice["message"]["tool_calls"]
    assert [call["id"] for call in calls] == ["call_1", "call_2"]
    assert json.loads(calls[0]["function"]["arguments"]) == {"at": "sky"}
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    deltas = [c["choices"][0]["delta"] for c in chunks[:-2]]
    pieces = [call for delta in deltas for call in delta.get("tool_calls", [])]
    arguments = "".join(p["function"]["arguments"] for p in pieces if p["index"] == 0)
    assert json.loads(arguments) == {"at": "sky"}


def test_an_error_in_band_follows_the_texts() -> None:
    error = {"error": {"message": "overloaded"}}
    with FakeProvider(errors_in_band(error, after=2)) as fake:
        chunks = streamed(fake)
    assert text_of(chunks[:-1]) == "word0 word1 "
    assert chunks[-1] == error


def test_resets_gives_no_header() -> None:
    with FakeProvider(resets()) as fake, pytest.raises(ConnectionResetError):
        ask(fake)


def test_hangs_closes_without_an_answer() -> None:
    with FakeProvider(hangs(0.05)) as fake, pytest.raises(http.client.RemoteDisconnected):
        ask(fake)


def test_nothing_listens_on_the_refused_url() -> None:
    host, port = FakeProvider.refused_url().split("/")[2].split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


@pytest.mark.parametrize("abrupt", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize(
    "make",
    [lambda: hangs(30), lambda: drips("a", "b", gate=threading.Event())],
    ids=["before headers", "in a stream"],
)
def test_a_client_that_hangs_up_is_noticed(make: Callable[[], Reply], abrupt: bool) -> None:
    with FakeProvider(make()) as fake:
        sock = socket.create_connection(("127.0.0.1", fake.port))
        body = b'{"stream": true}'
        sock.sendall(f"POST {PATH} HTTP/1.1\r\nContent-Length: 16\r\n\r\n".encode() + body)
        assert fake.wait_requests(1)
        assert not fake.wait_client_gone(timeout=0.05)
        if abrupt:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        assert fake.wait_client_gone()
        assert fake.closed == fake.requests


def test_closing_is_quick_leaves_no_thread_and_blames_no_client() -> None:
    before = threading.active_count()
    fake = FakeProvider(hangs(30), drips("a", "b", gate=threading.Event()))
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(streamed, fake) for _ in range(2)]
        assert fake.wait_requests(2)
        began = time.monotonic()
        fake.close()
        assert all(call.exception(5) for call in calls)
    assert time.monotonic() - began < 2
    assert threading.active_count() == before
    assert fake.closed == []


def test_a_connection_is_kept_alive_and_counted_once() -> None:
    with FakeProvider(models=["x", "y"]) as fake:
        conn = http.client.HTTPConnection("127.0.0.1", fake.port, timeout=5)
        conn.request("GET", "/v1/models")
        listed = json.loads(conn.getresponse().read())["data"]
        conn.request("POST", PATH, iter([b'{"model"', b':"m"}']), encode_chunked=True)
        conn.getresponse().read()
        conn.close()
        assert [entry["id"] for entry in listed] == ["x", "y"]
        assert fake.requests[1].json == {"model": "m"}
        assert fake.connections == 1


def test_routes_and_chooser_come_before_the_script() -> None:
    with FakeProvider(says("script")) as fake:
        fake.routes["/v1/models"] = status(401)
        fake.chooser = lambda request: status(403) if request.key == "bad" else None
        conn = http.client.HTTPConnection("127.0.0.1", fake.port, timeout=5)
        conn.request("GET", "/v1/models")
        assert conn.getresponse().status == 401
        conn.close()
        with ask(fake, key="bad") as refused:
            assert refused.status == 403
        assert whole(fake)["choices"][0]["message"]["content"] == "script"


def test_no_more_than_the_caps_is_served_under_concurrency() -> None:
    with FakeProvider(limits=Caps(rpm=5)) as fake:
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda n: ask(fake, key=f"k{n % 2}"), range(20)))
        codes = [answer.status for answer in answers]
        waits = {answer.getheader("Retry-After") for answer in answers if answer.status == 429}
        for answer in answers:
            answer.close()
        assert (codes.count(200), codes.count(429), fake.violations) == (10, 10, 10)
        assert {call.key for call in fake.served} == {"k0", "k1"}
    assert waits <= {"59", "60"}


def test_concurrency_is_capped_while_a_reply_is_under_way() -> None:
    gate = threading.Event()
    with FakeProvider(drips("a", "b", gate=gate), limits=Caps(concurrency=1)) as fake:
        with ask(fake, stream=True) as first:
            with ask(fake) as second:
                assert second.status == 429
            gate.set()
            first.read()
        # The slot is free a moment after the last byte is out.
        deadline = time.monotonic() + 2
        while ask(fake).status == 429 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(fake.served) == 2


@pytest.mark.parametrize(
    ("caps", "tokens", "expected"),
    [
        (Caps(rpm=2), 1, [None, None, 40.0]),
        (Caps(tpm=100), 60, [None, 50.0, 40.0]),
        (Caps(rpd=1), 1, [None, 86_390.0, 86_380.0]),
        (Caps(tpm=10), 11, [60.0, 60.0, 60.0]),
        (Caps(), 1, [None, None, None]),
    ],
    ids=["rpm", "tpm", "rpd", "never fits", "no caps"],
)
def test_windows_slide(caps: Caps, tokens: int, expected: list[float | None]) -> None:
    clock = FrozenClock()
    gate = Gatekeeper(caps, clock.monotonic)
    found = []
    for _ in expected:
        found.append(gate.enter("k", "m", tokens))
        clock.advance(10)
    assert found == expected
    clock.advance(86_400)
    assert gate.enter("k", "m", 1) is None


def test_it_runs_as_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "tests.fakes"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        base_url = json.loads(process.stdout.readline())["base_url"]
        process.stdin.write('{"script": [["status", [418], {"X_A": "b"}]]}\n')
        process.stdin.flush()
        process.stdout.readline()
        host = base_url.split("/")[2]
        conn = http.client.HTTPConnection(host, timeout=5)
        conn.request("POST", PATH, b"{}")
        response = conn.getresponse()
        assert (response.status, response.getheader("X-A")) == (418, "b")
        conn.close()
        process.stdin.write('{"seen": true}\n')
        process.stdin.close()
        assert json.loads(process.stdout.readline())["requests"][0]["path"] == PATH
    assert process.returncode == 0
