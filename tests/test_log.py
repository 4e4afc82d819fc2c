from __future__ import annotations

import io
import json
import logging
import logging.config
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import pytest

from freellmapi.log import JsonFormatter, LineHandler, TextFormatter, log_config, redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "Authorization: Bearer abcdefgh1234", "Authorization: Bearer ***", id="bearer"
        ),
        pytest.param("GET /v1beta?key=abcdefgh1234&x=1", "GET /v1beta?key=***&x=1", id="in a URL"),
        pytest.param('{"api_key": "abcdefgh1234"}', '{"api_key": "***"}', id="in JSON"),
        pytest.param("bad key gsk_abcdefghijklmnop given", "bad key gsk_*** given", id="prefix"),
        pytest.param("redis://:hunter2@cache:6379", "redis://:***@cache:6379", id="Redis URL"),
        pytest.param("postgresql://me:pw@db/x", "postgresql://me:***@db/x", id="database URL"),
        pytest.param("freellmapi-0123456789abcdef", "freellmapi-***", id="our own key"),
        pytest.param("routed key=7 status=200", "routed key=7 status=200", id="a key's row id"),
        pytest.param("key=anonymous kind=x", "key=anonymous kind=x", id="no key"),
        pytest.param("key=env:GROQ_API_KEY", "key=env:GROQ_API_KEY", id="a variable's name"),
        pytest.param("max_tokens: 4096 tokens", "max_tokens: 4096 tokens", id="tokens as a number"),
        pytest.param("http://a:80/b@c", "http://a:80/b@c", id="a port is no password"),
        pytest.param("TO\u212aEN=abcdefgh12", "TO\u212aEN=***", id="a letter that folds to k"),
        pytest.param("g\u017fk_abcdefgh1234", "g\u017fk_***", id="a letter that folds to s"),
    ],
)
def test_redacts(text: str, expected: str) -> None:
    assert redact(text) == expected


def record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    found = logging.makeLogRecord(
        {"name": "freellmapi.x", "levelname": "INFO", "msg": message, "args": args, **extra}
    )
    found.created = 1_790_000_000.25
    return found


def test_text_is_one_line_in_utc() -> None:
    line = TextFormatter().format(record("a=%s", "1\nFAKE\r"))
    assert line == "2026-09-21T14:13:20.250Z INFO freellmapi.x a=1\\nFAKE\\r"


def test_json_keeps_extras() -> None:
    line = JsonFormatter().format(record("hello %d", 1, model="m", detail="Bearer abcdefgh1234"))
    assert json.loads(line) == {
        "at": "2026-09-21T14:13:20.250Z",
        "level": "INFO",
        "logger": "freellmapi.x",
        "message": "hello 1",
        "model": "m",
        "detail": "Bearer ***",
    }


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
def test_a_traceback_is_redacted_too(formatter: logging.Formatter) -> None:
    try:
        raise ValueError("sent Bearer abcdefgh1234")
    except ValueError:
        line = formatter.format(record("failed", exc_info=sys.exc_info()))
    assert "ValueError: sent Bearer ***" in line
    assert "abcdefgh1234" not in line


HOSTILE = "".join(
    ("\x1b[2J\x1b]0;owned\x07", "\r", "\x9b31m", "\x7f", "\u2028", "\u202e", "\ud800", "\0")
)
FORGED = "2026-11-22T19:42:01.123Z ERROR freellmapi.router forged"


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
@pytest.mark.parametrize("hostile", [HOSTILE, f"\n{FORGED}\n", f"\r\n{FORGED}", f"\x85{FORGED}"])
def test_what_others_say_writes_no_line_and_moves_no_cursor(
    formatter: logging.Formatter, hostile: str
) -> None:
    try:
        raise ValueError(hostile)
    except ValueError:
        line = formatter.format(record("model=%s", hostile, exc_info=sys.exc_info()))
    line.encode()
    lines = line.split("\n")
    assert all(map(str.isprintable, lines))
    assert [FORGED in text and text.startswith("2026-11") for text in lines[1:]].count(True) == 0
    if isinstance(formatter, JsonFormatter):
        assert len(lines) == 1
        assert json.loads(line)["message"] == f"model={hostile}"
    else:
        assert all(text.startswith("  | ") for text in lines[1:])
        assert "ValueError: " in line


@pytest.mark.parametrize(("form", "kind"), [("text", TextFormatter), ("json", JsonFormatter)])
def test_the_configuration_is_one_that_logging_takes(form: str, kind: type) -> None:
    before = logging.root.handlers[:], logging.root.level
    try:
        logging.config.dictConfig(log_config(form, "WARNING"))
        assert type(logging.root.handlers[0].formatter) is kind
        assert logging.getLogger("freellmapi.x").getEffectiveLevel() == logging.WARNING
    finally:
        logging.root.handlers[:], logging.root.level = before


def test_a_line_is_one_write() -> None:
    class Written(io.StringIO):
        calls = 0

        def write(self, text: str) -> int:
            self.calls += 1
            return super().write(text)

    stream = Written()
    handler = LineHandler(stream)
    handler.setFormatter(TextFormatter())
    handler.handle(record("a"))
    handler.handle(record("b"))
    assert stream.getvalue().splitlines() == [
        "2026-09-21T14:13:20.250Z INFO freellmapi.x a",
        "2026-09-21T14:13:20.250Z INFO freellmapi.x b",
    ]
    assert stream.calls == 2


def test_a_line_is_there_at_once() -> None:
    reader, writer = os.pipe()
    # As Python opens its standard error.
    with open(reader, "rb", 0) as there, open(writer, "w", 1) as stream:
        LineHandler(stream).handle(record("a"))
        assert there.read(100) == b"a\n"


def test_a_line_that_cannot_be_written_raises_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> NoReturn:
            raise OSError("disk full")

    LineHandler(Full()).handle(record("a"))
    assert "disk full" in capsys.readouterr().err


def test_the_lines_of_threads_stay_apart() -> None:
    """Though no lock of ours is between them."""
    reader, writer = os.pipe()
    with open(reader, "rb") as there:
        with open(writer, "w", 1) as stream, ThreadPoolExecutor(4) as pool:
            handler = LineHandler(stream)
            texts = [f"{number:03}" * 20 for number in range(400)]
            read = pool.submit(there.read)
            list(pool.map(lambda text: handler.handle(record(text)), texts))
            pool.submit(stream.close)
            lines = read.result().decode().splitlines()
    assert sorted(lines) == texts
