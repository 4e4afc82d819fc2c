"""A stage for stories of failure: many small providers on one socket, each with its own script.

Every story gets providers that no other story has used, so that benches and counters of
one say nothing in the next, and many stories can be told at the same time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import openai

from tests.e2e.server import CLOCK, HELLO
from tests.fakes.provider import FakeProvider, Reply, SeenRequest, status, streams
from tests.fakes.wire import Connection

WORDS = tuple(f"word{n} " for n in range(60))
WHOLE = "".join(WORDS)
PROMPT_TOKENS = 9


@dataclass(frozen=True, slots=True)
class Tells:
    """The answer of sixty words, or its rest for who brings its beginning.

    ``repeats``: so many of the last words are told again at the seam. ``prefill`` False
    refuses a request that ends with words of the assistant, as some providers do.
    """

    repeats: int = 0
    prefill: bool = True
    cut: int | None = None
    """The connection is reset after so many words."""

    def play(self, conn: Connection, request: SeenRequest) -> None:
        messages = request.json["messages"]
        if messages[-1]["role"] == "assistant" and not self.prefill:
            error = {"message": "Cannot continue a final assistant message.", "code": None}
            status(400, {"error": error}).play(conn, request)
            return
        said = "".join(m["content"] for m in messages if m["role"] == "assistant")
        assert WHOLE.startswith(said), said
        rest = WORDS[max(len(said.split()) - self.repeats, 0) :]
        used = (PROMPT_TOKENS + len(said.split()), len(rest))
        streams(*rest, usage=used, cut=self.cut).play(conn, request)


TELLS = Tells()


@dataclass(slots=True)
class Part:
    """One provider: what it will answer, and what it was asked."""

    name: str
    script: list[Reply] = field(default_factory=list)
    default: Reply = TELLS
    requests: list[SeenRequest] = field(default_factory=list)

    def next_reply(self, request: SeenRequest) -> Reply:
        self.requests.append(request)
        return self.script.pop(0) if self.script else self.default


@dataclass(frozen=True, slots=True)
class Seen:
    """What the official client made of an answer."""

    text: str = ""
    finish: str | None = None
    usage: tuple[int, int] | None = None
    failed: int = 0
    """``X-Fallback-Attempts``."""
    via: str = ""
    request_id: str = ""
    remaining: dict[str, int] = field(default_factory=dict)
    error: openai.APIError | None = None
    code: str | None = None
    retry_after: int | None = None
    seconds: float = 0.0

    @property
    def status(self) -> int:
        return self.error.status_code if isinstance(self.error, openai.APIStatusError) else 200

    @property
    def is_whole(self) -> bool:
        return self.error is None and self.text == WHOLE and self.finish == "stop"


class Stage:
    """The providers, and the one client that asks for them by the name of their model.

    ``sizes`` are how many providers a cast may have, and ``count`` how many casts there are
    of each. ``ids`` are providers of the catalog to play the parts; else new ones do, which
    the gateway knows to be local and therefore benches for 5 seconds at most.
    """

    def __init__(
        self, fake: FakeProvider, *sizes: int, count: int = 12, ids: Sequence[str] = ()
    ) -> None:
        self._fake = fake
        self._is_local = not ids
        names = iter(ids) if ids else (f"part{n}" for n in itertools.count())
        self._casts = {
            size: {f"model{size}x{n}": _parts(names, size) for n in range(count)} for size in sizes
        }
        self._free = {size: iter(casts.items()) for size, casts in self._casts.items()}
        self._parts = {part.name: part for _, part in self._all()}
        fake.chooser = lambda request: self._parts[request.path.split("/")[1]].next_reply(request)

    def config(self, limits: str = "", **settings: object) -> str:
        """The configuration file of a server that has all these providers, in order."""
        lines = [f"chain = {[f'{part.name}/{model}' for model, part in self._all()]}"]
        lines += ["[settings]", "probe_interval = 0"]
        lines += [f"{name} = {value!r}" for name, value in settings.items()]
        root = f"http://127.0.0.1:{self._fake.port}"
        for model, part in self._all():
            lines += ["[[providers]]", f'id = "{part.name}"']
            lines += [f'base_url = "{root}/{part.name}/v1"']
            lines += ['key = "none"'] if self._is_local else []
            lines += [f'models = [{{ id = "{model}", context = 100000, limits = {{{limits}}} }}]']
            if not self._is_local:
                lines += ["[[keys]]", f'provider = "{part.name}"', f'key = "of-{part.name}"']
        return "\n".join([*lines, ""])

    def _all(self) -> list[tuple[str, Part]]:
        casts = [cast for casts in self._casts.values() for cast in casts.items()]
        return [(model, part) for model, parts in casts for part in parts]

    def cast(self, size: int) -> tuple[str, list[Part]]:
        """Providers that nobody has used, and the model that they have in common."""
        return next(self._free[size])


def _parts(names: Iterator[str], size: int) -> list[Part]:
    return [Part(name) for name in itertools.islice(names, size)]


def ask(
    client: openai.OpenAI,
    model: str,
    *,
    stream: bool,
    messages: Sequence[Any] = HELLO,
    headers: dict[str, str] | None = None,
    **body: Any,
) -> Seen:
    """One request as an application makes it; errors are part of what is seen."""
    began = CLOCK.monotonic()
    told: dict[str, Any] = {}
    if stream:
        body["stream_options"] = {"include_usage": True}
    try:
        raw = client.chat.completions.with_raw_response.create(
            model=model, messages=messages, stream=stream, extra_headers=headers, **body
        )
        told |= _of_headers(raw.headers)
        told |= _of_stream(raw.parse(), told) if stream else _of_answer(raw.parse())
    except openai.APIStatusError as error:
        told |= _of_headers(error.response.headers) | {"error": error, "code": error.code}
    except openai.APIError as error:
        told |= {"error": error, "code": error.code}
    return Seen(**told, seconds=CLOCK.monotonic() - began)


def _of_headers(headers: Any) -> dict[str, Any]:
    prefix = "x-ratelimit-remaining-"
    remaining = {n[len(prefix) :]: int(v) for n, v in headers.items() if n.startswith(prefix)}
    wait = headers.get("Retry-After")
    return {
        "failed": int(headers.get("X-Fallback-Attempts", 0)),
        "via": headers.get("X-Routed-Via", ""),
        "request_id": headers.get("X-Request-Id", ""),
        "remaining": remaining,
        "retry_after": None if wait is None else int(wait),
    }


def _of_answer(answer: Any) -> dict[str, Any]:
    usage = answer.usage
    return {
        "text": answer.choices[0].message.content or "",
        "finish": answer.choices[0].finish_reason,
        "usage": (usage.prompt_tokens, usage.completion_tokens),
    }


def _of_stream(stream: Any, told: dict[str, Any]) -> dict[str, Any]:
    """Fills ``told`` as the chunks come, so that it is there when the stream breaks."""
    told["text"] = ""
    for chunk in stream:
        for choice in chunk.choices:
            assert told.get("finish") is None, "something follows the finish_reason"
            told["text"] += choice.delta.content or ""
            told["finish"] = choice.finish_reason
        if chunk.usage is not None:
            assert "usage" not in told, "usage comes twice"
            told["usage"] = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
    return told
