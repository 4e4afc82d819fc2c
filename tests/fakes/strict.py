"""All providers of the catalog on one socket, each as strict as it is known to be.

    with StrictProviders() as them:
        them.url("groq")  # the base URL of its imitation
        them.script = [dialects()["groq"].errors["minute"].reply()]
        ...
        assert them.refusals == []

An answer calls tools when it must, or when the last user message holds "tool": each declared
one once. It is JSON that fits when JSON is asked for. Else it says ``voices.TEXT``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.fakes.answers import Fixed, Reply
from tests.fakes.cohere import FakeCohere
from tests.fakes.dialect import Dialect, dialects
from tests.fakes.gemini import PATH as GEMINI_PATH
from tests.fakes.gemini import FakeGemini, fitting, joined
from tests.fakes.gemini_rules import Refused as GeminiRefused
from tests.fakes.provider import FakeProvider
from tests.fakes.strict_rules import Refused, check
from tests.fakes.voices import TEXT as VOICE
from tests.fakes.voices import Call, Spoken
from tests.fakes.wire import SeenRequest

CITY = {"type": "object", "properties": {"city": {"type": "string"}}}


class StrictProviders(FakeProvider):
    """The server. A script goes before what the dialects would say."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals: list[str] = []
        """What was refused, in words, since it was last cleared."""
        self.chooser = self._answer
        self._gemini = FakeGemini().__enter__()
        self._cohere = FakeCohere()

    def __enter__(self) -> StrictProviders:
        return self

    def url(self, provider: str) -> str:
        """Where this provider is imitated."""
        return f"http://127.0.0.1:{self.port}/{provider}{dialects()[provider].base_path}"

    def close(self) -> None:
        self._gemini.__exit__(None, None, None)
        self._cohere.close()
        super().close()

    def reset(self) -> None:
        """Forget what was seen."""
        self.script.clear()
        self.requests.clear()
        self.refusals.clear()
        self._cohere.refusals.clear()

    def _answer(self, request: SeenRequest) -> Reply | None:
        if self.script:
            return None
        name, _, rest = request.path.lstrip("/").partition("/")
        dialect = dialects()[name]
        if dialect.id == "google":
            return self._google(dialect, request, "/" + rest)
        base = dialect.base_path.replace("{account_id}", "fake-account")
        if request.method != "POST" or f"/{rest}" != base + dialect.path:
            return self._refuse(dialect, "missing", f"no such path: /{rest}")
        given = request.headers.get(dialect.header)
        if given != dialect.auth and not (given is None and dialect.anonymous):
            return self._refuse(dialect, "unauthorized", f"wrong credentials: {given}")
        if dialect.id == "cohere":
            return self._native_cohere(request)
        try:
            check(request.json, dialect.takes_for(request.model))
        except Refused as refusal:
            return self._refuse(dialect, refusal.error, str(refusal), refusal.field)
        return spoken(dialect, request.json)

    def _refuse(self, dialect: Dialect, error: str, reason: str, field: str = "x") -> Reply:
        self.refusals.append(f"{dialect.id} {error}: {reason}")
        failure = dialect.errors.get(error) or dialect.errors["refused"]
        return failure.reply(reason.replace('"', "'"), field)

    def _native_cohere(self, request: SeenRequest) -> Reply | None:
        wanted = request.json.get("response_format")
        said = [str(message.get("content")) for message in request.json["messages"]]
        self._cohere.text = VOICE
        if wanted or any(asks_json(text) for text in said):
            schema = (wanted or {}).get("json_schema") or schema_in_words(said)
            self._cohere.text = (json.dumps(fitting(schema)), "", "")
        assert self._cohere.chooser is not None
        reply = self._cohere.chooser(replace(request, path="/v2/chat"))
        self.refusals += [f"cohere: {reason}" for reason in self._cohere.refusals]
        self._cohere.refusals.clear()
        return reply

    def _google(self, dialect: Dialect, request: SeenRequest, path: str) -> Reply:
        matched = GEMINI_PATH.fullmatch(path)
        if matched is None:
            return self._refuse(dialect, "missing", f"no such path: {path}")
        if request.headers.get(dialect.header) != dialect.auth:
            return self._refuse(dialect, "unauthorized", "wrong credentials")
        try:
            payloads = self._gemini.answers(matched[1], request.json)
        except GeminiRefused as refusal:
            return self._refuse(dialect, "refused", str(refusal))
        if not matched[3]:
            body = json.dumps(joined(payloads)).encode()
            return Fixed(200, body, {"Content-Type": "application/json"})
        data = b"".join(b"data: " + json.dumps(p).encode() + b"\r\n\r\n" for p in payloads)
        return Fixed(200, data, {"Content-Type": "text/event-stream"}, chunked=True)


def spoken(dialect: Dialect, body: Mapping[str, Any]) -> Spoken:
    """What the provider answers to a good request."""
    speaks, model = dialect.speaks, body["model"]
    calls = _calls(body)
    if speaks.one_call:
        calls = calls[:1]
    if calls:
        return Spoken(speaks, model, (), calls)
    return Spoken(speaks, model, _texts(body))


def _texts(body: Mapping[str, Any]) -> Sequence[str]:
    wanted = body.get("response_format") or {}
    said = [str(message.get("content")) for message in body["messages"]]
    if not wanted and not any(asks_json(text) for text in said):
        return VOICE
    schema = wanted.get("json_schema", {}).get("schema") or schema_in_words(said)
    whole = json.dumps(fitting(schema))
    return whole[:3], whole[3:]


def asks_json(text: str) -> bool:
    """Whether an instruction wants JSON of a model that has no setting for it."""
    return "Answer with one JSON object" in text


def schema_in_words(texts: Iterable[str]) -> Mapping[str, Any]:
    """The schema that an instruction states; without one any object will do."""
    for line in (text.rpartition("\n")[2] for text in texts):
        if line.startswith("{"):
            found: Mapping[str, Any] = json.loads(line)
            return found
    return CITY


def _calls(body: Mapping[str, Any]) -> list[Call]:
    choice = body.get("tool_choice")
    forced = choice in ("required", "any") or isinstance(choice, Mapping)
    last = body["messages"][-1]
    asked = last["role"] == "user" and "tool" in json.dumps(last["content"])
    if choice == "none" or not (forced or asked):
        return []
    named = choice["function"]["name"] if isinstance(choice, Mapping) else None
    functions = [tool["function"] for tool in body.get("tools", ())]
    return [
        Call(f["name"], json.dumps(fitting(f.get("parameters", {}))))
        for f in functions
        if named in (None, f["name"])
    ]
