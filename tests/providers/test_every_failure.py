"""Every way in which each provider is known to fail, and every way in which all of them may."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from freellmapi.core.errors import POLICY, ErrorKind
from tests.fakes.answers import Reply
from tests.fakes.dialect import Dialect, Failure, dialects
from tests.fakes.provider import later, raw_body, resets, status
from tests.fakes.strict import spoken
from tests.fakes.voices import CutShort, Spoken
from tests.providers.everyone import Answered, House, a_house, able, catalog

EVERY = able()
KINDS = {
    "refused": ErrorKind.REQUEST_REFUSED,
    "unauthorized": ErrorKind.KEY_REJECTED,
    "forbidden": ErrorKind.MODEL_FORBIDDEN,
    "missing": ErrorKind.MODEL_GONE,
    "minute": ErrorKind.RATE_LIMITED,
    "day": ErrorKind.DAILY_QUOTA,
    "down": ErrorKind.SERVER_ERROR,
    "too_long": ErrorKind.CONTEXT_TOO_LONG,
}
SORRY = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
BY_PROVIDER = pytest.mark.parametrize("ref", EVERY, ids=[r.partition("/")[0] for r in EVERY])
OPENAI = [r for r in EVERY if catalog().providers[r.partition("/")[0]].wire == "openai"]
BY_OPENAI = pytest.mark.parametrize("ref", OPENAI, ids=[r.partition("/")[0] for r in OPENAI])


def failures() -> Iterator[Any]:
    for ref in EVERY:
        dialect = dialects()[ref.partition("/")[0]]
        for name, failure in dialect.errors.items():
            yield pytest.param(ref, name, failure, id=f"{dialect.id}-{name}")


@pytest.fixture(scope="module")
def long_lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with a_house(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture
def house(long_lived: House) -> House:
    long_lived.them.reset()
    return long_lived


def dialect_of(ref: str) -> Dialect:
    return dialects()[ref.partition("/")[0]]


def always(reply: Reply) -> list[Reply]:
    """However often it is asked again."""
    return [reply] * 20


def kind(house: House, answered: Answered) -> ErrorKind:
    """What the gateway made of it; the client is told the same."""
    assert house.failures, "nothing failed"
    found = house.failures[0].kind
    told = answered.error.status if answered.error else None
    if answered.broken is None:
        assert told == POLICY[found].status
    return found


@pytest.mark.parametrize(("ref", "name", "failure"), list(failures()))
@STREAMED
def test_an_error_is_understood(
    house: House, ref: str, name: str, failure: Failure, stream: bool
) -> None:
    if name == "in_stream" and not stream:
        pytest.skip("only comes in streams")
    reply: Reply = failure.reply()
    if name == "in_stream":
        reply = raw_body(b"data: " + failure.body.encode() + b"\n\n", "text/event-stream")
    house.them.script = always(reply)

    answered = house.ask(ref, "Hi.", stream=stream)

    expected = ErrorKind(failure.kind) if failure.kind else KINDS[name]
    assert kind(house, answered) is expected
    assert not answered.text
    secret = dialect_of(ref).key
    assert secret not in json.dumps(answered.error.body() if answered.error else {})


@BY_PROVIDER
@STREAMED
@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (status(502, SORRY, Content_Type="text/html"), ErrorKind.SERVER_ERROR),
        (status(200, SORRY, Content_Type="text/html"), ErrorKind.BAD_ANSWER),
        (raw_body(b'{"choices": [{"index": 0, "mess'), ErrorKind.BAD_ANSWER),
        (raw_body(b""), ErrorKind.BAD_ANSWER),
        (raw_body(b"{}"), ErrorKind.BAD_ANSWER),
        (raw_body(b"null"), ErrorKind.BAD_ANSWER),
        (raw_body(b"[]"), ErrorKind.BAD_ANSWER),
        (raw_body(b"\xff\xfe\x00"), ErrorKind.BAD_ANSWER),
        (status(307, "", Location="http://169.254.169.254/"), ErrorKind.UNREACHABLE),
        (status(429, ""), ErrorKind.RATE_LIMITED),
        (status(500, ""), ErrorKind.SERVER_ERROR),
        (status(599, "?"), ErrorKind.SERVER_ERROR),
        (resets(), ErrorKind.SERVER_ERROR),
    ],
    ids=[
        "a gateway's page",
        "a page for an answer",
        "cut JSON",
        "nothing",
        "an empty object",
        "null",
        "a list",
        "binary",
        "a redirect",
        "a bare 429",
        "a bare 500",
        "a status of its own",
        "a reset",
    ],
)
def test_what_is_no_answer_fails(
    house: House, ref: str, reply: Reply, expected: ErrorKind, stream: bool
) -> None:
    house.them.script = always(reply)

    answered = house.ask(ref, "Hi.", stream=stream)

    assert kind(house, answered) is expected
    assert not answered.text


@BY_PROVIDER
def test_a_server_error_is_forgiven_once(house: House, ref: str) -> None:
    provider = catalog().providers[ref.partition("/")[0]]
    if 1 in (provider.account_limits.rpm, catalog().by_ref[ref].limits.rpm):
        pytest.skip("a second try would go over its cap")
    house.them.script = [dialect_of(ref).errors["down"].reply()]

    answered = house.ask(ref, "Hi.")

    assert answered.text == "Hello there."
    assert len(house.them.requests) == 2


@BY_PROVIDER
def test_a_stated_wait_is_kept(house: House, ref: str) -> None:
    house.them.script = always(status(429, "", Retry_After="700"))

    answered = house.ask(ref, "Hi.")

    assert house.failures[0].retry_after == 700
    assert answered.error is not None
    assert answered.error.retry_after == pytest.approx(700, abs=1)


@BY_OPENAI
def test_a_stream_that_is_cut_is_not_made_whole(house: House, ref: str) -> None:
    if "no_stream" in catalog().providers[ref.partition("/")[0]].quirks.flags:
        pytest.skip("it does not stream")
    dialect = dialect_of(ref)
    body = {"model": "x", "messages": [{"role": "user", "content": "Hi."}]}
    whole = spoken(dialect, body)
    assert isinstance(whole, Spoken)
    said = len(b"".join(json.dumps(e).encode() + b"datadatada" for e in _until_text(whole)))
    house.them.script = always(CutShort(whole, said))

    answered = house.ask(ref, "Hi.", stream=True)

    assert "Hello there.".startswith(answered.text)
    assert answered.finish is None
    assert answered.broken is not None or answered.error is not None


def _until_text(whole: Spoken) -> Iterator[dict[str, Any]]:
    """The events up to the last word."""
    for event in whole.events(usage_asked=True):
        if event["choices"] and event["choices"][0]["finish_reason"]:
            return
        yield event


def said(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> Reply:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "x"}
    return raw_body(json.dumps(body | {"choices": [choice], **more}).encode())


@BY_OPENAI
@pytest.mark.parametrize(
    "reply",
    [
        said({"role": "assistant", "content": None}),
        said({"role": "assistant", "content": ""}),
        said({}),
        said({"role": "assistant", "content": "x"}, choices=[]),
        said({"role": "assistant", "content": "x"}, choices=None),
        said({"role": "assistant", "content": "x"}, error={"message": "m", "code": 500}),
    ],
    ids=["null", "empty", "no message", "no choices", "null choices", "an error inside"],
)
def test_an_empty_answer_fails(house: House, ref: str, reply: Reply) -> None:
    house.them.script = always(reply)

    answered = house.ask(ref, "Hi.")

    assert kind(house, answered) in (ErrorKind.BAD_ANSWER, ErrorKind.SERVER_ERROR)


@BY_OPENAI
@pytest.mark.parametrize("finish", ["eos", "sensitive", "network_error", "max_output", None, 7])
def test_an_unknown_finish_reason_is_one_that_clients_know(
    house: House, ref: str, finish: Any
) -> None:
    house.them.script = always(said({"role": "assistant", "content": "Hello there."}, finish))

    answered = house.ask(ref, "Hi.")

    if answered.error is None:
        assert answered.finish in ("stop", "length", "content_filter")


@BY_OPENAI
def test_nulls_and_numbers_where_texts_should_be(house: House, ref: str) -> None:
    call = {"id": None, "type": None, "function": {"name": "get_time", "arguments": None}}
    message = {"role": None, "content": None, "tool_calls": [call], "refusal": None}
    more = {"id": None, "created": None, "model": 7, "object": None, "usage": None}
    house.them.script = [said(message, None, **more)]
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "get_time", "parameters": parameters}}
    ref = next((m.ref for m in catalog().models if m.ref == ref and m.tools), "")
    if not ref:
        pytest.skip("its models call no tools")

    answered = house.ask(ref, "Hi.", tools=[tool])

    assert answered.error is None
    assert answered.finish == "tool_calls"
    assert answered.calls[0]["id"]
    assert isinstance(answered.calls[0]["function"]["arguments"], str)


@BY_PROVIDER
def test_a_wrong_key_is_refused_as_such(house: House, ref: str) -> None:
    """The imitation itself looks at the key: it is sent, where and as it should be."""
    house.ask(ref, "Hi.")

    dialect = dialect_of(ref)
    sent = house.them.requests[0].headers.get(dialect.header)
    assert sent == (None if dialect.anonymous and dialect.id != "custom" else dialect.auth)


@BY_PROVIDER
def test_a_silence_before_the_answer_is_borne(house: House, ref: str) -> None:
    whole = status(429, "")
    house.them.script = always(later(0.01, whole))

    assert kind(house, house.ask(ref, "Hi.")) is ErrorKind.RATE_LIMITED
