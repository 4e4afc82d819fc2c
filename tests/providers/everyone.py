"""The whole program but its web server, with every provider imitated strictly."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk

from freellmapi.api.render import EventStream
from freellmapi.api.schema import chat_request
from freellmapi.app import build_services
from freellmapi.core.cancel import Cancellation
from freellmapi.core.catalog import Catalog, Model
from freellmapi.core.chat import ChatRequest
from freellmapi.core.errors import GatewayError, UpstreamError
from freellmapi.core.route import Candidate, Outcome
from freellmapi.core.sse import SseDecoder
from freellmapi.providers.catalog import load_catalog, with_custom
from freellmapi.providers.endpoints import Endpoints
from freellmapi.router.cooldowns import Cooldowns
from freellmapi.router.ledger import MemoryLedger
from freellmapi.router.record import Caller
from freellmapi.settings import Settings
from tests.fakes.clock import FrozenClock
from tests.fakes.dialect import dialects
from tests.fakes.strict import StrictProviders

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ABLE = 'tools = true, vision = true, context = 100000, family = "able"'
# Endpoints of the user's own, models for providers that list none, and a key for this
# machine's model, which needs no extra to be installed then.
CONFIG = f"""
[[providers]]
id = "custom"
base_url = "{{custom}}"
models = [{{{{ id = "lab", {ABLE} }}}}]
[[providers]]
id = "compat"
base_url = "{{compat}}"
models = [{{{{ id = "gemini-2.5-flash", {ABLE} }}}}]
[[providers]]
id = "aihorde"
models = [{{{{ id = "aphrodite/any", context = 8000, family = "any" }}}}]
[[keys]]
provider = "local"
key = "env:LOCAL_KEY"
[[keys]]
provider = "custom"
key = "env:CUSTOM_KEY"
[[keys]]
provider = "compat"
key = "env:COMPAT_KEY"
""" + "".join(
    f'[[providers]]\nid = "{name}"\nmodels = [{{{{ id = "{name}/able", {ABLE} }}}}]\n'
    for name in ("chutes", "modelscope", "scaleway", "siliconflow", "together")
)


@lru_cache(maxsize=1)
def catalog() -> Catalog:
    """The built-in catalog and what ``CONFIG`` adds to it."""
    text = CONFIG.format(custom="http://10.0.0.7:8000/v1", compat="http://10.0.0.8/v1beta/openai")
    entries = tomllib.loads(text)["providers"]
    return with_custom(load_catalog(), {e["id"]: e for e in entries})


def models_of(provider: str) -> list[Model]:
    return [m for m in catalog().models if m.provider == provider]


def able(*wanted: str) -> list[str]:
    """Of each provider that has one, the first model that is able to do all of ``wanted``."""
    found: dict[str, str] = {}
    for model in catalog().models:
        if all(getattr(model, name) for name in wanted):
            found.setdefault(model.provider, model.ref)
    return sorted(found.values())


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of one request, as the client sees it."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[dict[str, Any], ...] = ()
    finish: str | None = None
    usage: dict[str, Any] | None = None
    message: dict[str, Any] = field(default_factory=dict)
    """The assistant's message, as a client would send it back."""
    error: GatewayError | None = None
    broken: dict[str, Any] | None = None
    """The error that ended a stream."""


class LocalLauncher:
    """This machine's model: running already, as an imitation."""

    def __init__(self, url: str) -> None:
        self.key = "fake-local-key"
        self._url = url

    def base_url(self) -> str:
        return self._url


class House:
    """Asks any model of the catalog through the real gateway and the real transport."""

    def __init__(self, folder: Path, them: StrictProviders) -> None:
        self.them = them
        self.failures: list[UpstreamError] = []
        """What the gateway saw go wrong since the last request."""
        file = folder / "freellmapi.toml"
        file.write_text(configured(them))
        self._clock = FrozenClock()
        self.services = build_services(Settings.from_env(environ(folder, file, them)), self._clock)
        configuration = self.services.configuration
        assert configuration.problems == ()
        local = LocalLauncher(them.url("local"))
        self._tools = replace(
            self.services.gateway.tools,
            endpoints=Endpoints(configuration, {"local": local}),
            on_failure=self._failed,
        )

    def ask(self, ref: str, *messages: Any, **body: Any) -> Answered:
        """One request on a fresh morning: no benches, no caps used."""
        self.failures.clear()
        self.services.gateway.tools = replace(
            self._tools, ledger=MemoryLedger(), cooldowns=Cooldowns(self._clock)
        )
        said = [{"role": "user", "content": m} if isinstance(m, str) else m for m in messages]
        chat = chat_request({"model": ref, "messages": said, **body})
        try:
            outcome = self.services.gateway.run(chat, Caller("req_1"), Cancellation())
        except GatewayError as error:
            return Answered(error=error)
        return _streamed(chat, outcome) if chat.stream else _whole(outcome)

    def _failed(self, candidate: Candidate, error: UpstreamError) -> None:
        self.failures.append(error)


@contextmanager
def a_house(folder: Path) -> Iterator[House]:
    with StrictProviders() as them:
        house = House(folder, them)
        try:
            yield house
        finally:
            house.services.close()


def configured(them: StrictProviders) -> str:
    """The configuration file."""
    return CONFIG.format(custom=them.url("custom"), compat=them.url("compat"))


def environ(folder: Path, config: Path, them: StrictProviders) -> dict[str, str]:
    """The environment of a program that reaches nobody but the imitations."""
    return given_keys(them) | {
        "ENCRYPTION_KEY": "ab" * 32,
        "FREELLMAPI_DATA_DIR": str(folder),
        "FREELLMAPI_CONFIG": str(config),
    }


def given_keys(them: StrictProviders) -> dict[str, str]:
    """Every provider's key and the place of its imitation."""
    environ: dict[str, str] = {}
    for provider in catalog().providers.values():
        dialect = dialects()[provider.id]
        parts = ["fake-account"] * (len(provider.key_fields) - 1) + [dialect.key]
        variables = provider.env_ways()[0] if provider.env_vars else ()
        if not dialect.anonymous and provider.anonymous_key is None:
            environ |= dict(zip(variables, parts, strict=False))
        if provider.id not in ("custom", "compat", "local"):
            environ[f"FREELLMAPI_{provider.id.upper()}_BASE_URL"] = them.url(provider.id)
    for name in ("local", "custom", "compat"):
        environ[f"{name.upper()}_KEY"] = dialects()[name].key
    return environ


def _whole(outcome: Outcome) -> Answered:
    assert outcome.completion is not None
    body = json.loads(json.dumps(outcome.completion.body))
    completion = ChatCompletion.model_validate(body)
    message = body["choices"][0]["message"]
    assert completion.choices[0].message.role == "assistant"
    return Answered(
        text=message["content"] or "",
        reasoning=message.get("reasoning_content") or "",
        calls=tuple(message.get("tool_calls") or ()),
        finish=completion.choices[0].finish_reason,
        usage=body.get("usage"),
        message=completion.choices[0].message.model_dump(),
    )


def _streamed(chat: ChatRequest, outcome: Outcome) -> Answered:
    assert outcome.stream is not None
    stream = EventStream(outcome.stream, chat.include_usage, lambda: None)
    events = SseDecoder().feed(b"".join(stream))
    stream.close()
    broken = None
    if events[-1] != b"[DONE]":
        broken = json.loads(events[-1])["error"]
    return _joined([json.loads(event) for event in events[:-1]], broken)


def _joined(events: list[dict[str, Any]], broken: dict[str, Any] | None) -> Answered:
    """The answer that the chunks make, each of them as OpenAI's client demands it."""
    text, reasoning, finish, usage = "", "", None, None
    calls: list[dict[str, Any]] = []
    for event in events:
        chunk = ChatCompletionChunk.model_validate(event)
        if chunk.usage is not None:
            usage = event["usage"]
        for choice in chunk.choices:
            assert finish is None or not choice.delta.content, "more after the finish"
            text += choice.delta.content or ""
            reasoning += (choice.delta.model_extra or {}).get("reasoning_content") or ""
            assert finish is None or choice.finish_reason is None, "a second finish reason"
            finish = finish or choice.finish_reason
            for piece in choice.delta.tool_calls or ():
                _add(calls, piece.model_dump(exclude_none=True))
    message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": None}
    message |= {"tool_calls": calls} if calls else {}
    message |= {"reasoning_content": reasoning} if reasoning else {}
    return Answered(text, reasoning, tuple(calls), finish, usage, message, broken=broken)


def _add(calls: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    index = piece.pop("index")
    if index == len(calls):
        assert piece["id"] and piece["function"]["name"], "a call begins with id and name"
        calls.append({"type": "function", **piece})
        calls[index]["function"].setdefault("arguments", "")
    else:
        calls[index]["function"]["arguments"] += piece["function"].get("arguments", "")
