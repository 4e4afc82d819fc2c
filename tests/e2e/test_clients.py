"""Clients as people use them, against the running server: openai's helpers, and LangChain.

Behind the server stand strict imitations of providers that speak as differently as they come.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel, SecretStr

from tests.e2e.server import PATIENCE, Server
from tests.fakes.strict import StrictProviders
from tests.providers.everyone import able, configured, given_keys

pytestmark = pytest.mark.e2e

CHOSEN = ("cerebras", "cohere", "custom", "google", "groq", "mistral", "openrouter", "zhipu")
MODELS = [ref for ref in able("tools", "json_schema") if ref.partition("/")[0] in CHOSEN]
EACH = pytest.mark.parametrize("model", MODELS, ids=[ref.partition("/")[0] for ref in MODELS])
# The caps of the free tiers would be reached within these tests.
CAPS = "rpm = 9999\nrpd = 9999\ntpm = 99999999\ntpd = 99999999\n"
UNCAPPED = "".join(
    f'[[limits]]\nprovider = "{provider}"\n{CAPS}'
    f'[[limits]]\nprovider = "{provider}"\nmodel = "{name}"\n{CAPS}'
    for provider, _, name in (ref.partition("/") for ref in MODELS)
)
# These imitations know no probes, which come when the tests take longer than 20 s.
UNPROBED = "[settings]\nprobe_interval = 0\n"
ASKED: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Which city?"}]


class City(BaseModel):
    """A place."""

    city: str
    large: bool


@tool
def get_time(city: str) -> str:
    """The local time in a city."""
    return f"14:05 in {city}"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StrictProviders, Server]]:
    with StrictProviders() as them:
        folder = tmp_path_factory.mktemp("clients")
        with Server(folder, UNPROBED + configured(them) + UNCAPPED, **given_keys(them)) as server:
            yield them, server


@pytest.fixture
def them(running: tuple[StrictProviders, Server]) -> Iterator[StrictProviders]:
    them = running[0]
    them.reset()
    yield them
    assert them.refusals == []


@pytest.fixture
def client(running: tuple[StrictProviders, Server]) -> Iterator[openai.OpenAI]:
    with running[1].client() as client:
        yield client


@pytest.fixture
def chain(running: tuple[StrictProviders, Server], model: str) -> ChatOpenAI:
    server = running[1]
    return ChatOpenAI(
        model=model,
        base_url=f"{server.url}/v1",
        api_key=SecretStr(server.token),
        max_retries=0,
        timeout=PATIENCE,
    )


def test_all_are_asked() -> None:
    assert {ref.partition("/")[0] for ref in MODELS} == set(CHOSEN)


def test_the_models_are_listed(client: openai.OpenAI, them: StrictProviders) -> None:
    listed = [model.id for model in client.models.list()]

    assert listed[0] == "auto"
    assert set(MODELS) <= set(listed)
    assert client.models.retrieve(MODELS[0]).object == "model"


@EACH
def test_parse_gives_the_callers_own_class(
    client: openai.OpenAI, them: StrictProviders, model: str
) -> None:
    completion = client.chat.completions.parse(model=model, messages=ASKED, response_format=City)

    assert completion.choices[0].message.parsed == City(city="Oslo", large=True)


@EACH
def test_parse_reads_the_tools_arguments(
    client: openai.OpenAI, them: StrictProviders, model: str
) -> None:
    completion = client.chat.completions.parse(
        model=model,
        messages=[{"role": "user", "content": "Use the tool."}],
        tools=[openai.pydantic_function_tool(City, name="take_city")],
    )

    calls = completion.choices[0].message.tool_calls or []
    parsed = calls[0].function.parsed_arguments
    assert isinstance(parsed, City)
    assert parsed.city == "Oslo"


@EACH
def test_the_streaming_helper_puts_the_answer_together(
    client: openai.OpenAI, them: StrictProviders, model: str
) -> None:
    with client.chat.completions.stream(
        model=model,
        messages=ASKED,
        response_format=City,
        stream_options={"include_usage": True},
    ) as stream:
        kinds = [event.type for event in stream]
        completion = stream.get_final_completion()

    assert "content.delta" in kinds
    assert completion.choices[0].message.parsed == City(city="Oslo", large=True)
    assert completion.usage is not None


@EACH
def test_langchain_asks_and_streams(chain: ChatOpenAI, them: StrictProviders, model: str) -> None:
    said = [SystemMessage("Be brief."), HumanMessage("Good morning.")]

    whole = chain.invoke(said)
    pieces = list(chain.stream(said))

    assert whole.text == "Hello there."
    assert "".join(piece.text for piece in pieces) == "Hello there."
    assert isinstance(whole, AIMessage)
    assert model.startswith("custom") or whole.usage_metadata is not None


@EACH
def test_langchain_calls_tools(chain: ChatOpenAI, them: StrictProviders, model: str) -> None:
    bound = chain.bind_tools([get_time])
    said: list[Any] = [HumanMessage("Use the tool.")]

    asked = bound.invoke(said)
    assert isinstance(asked, AIMessage)
    results = [get_time.invoke(call) for call in asked.tool_calls]
    answer = bound.invoke([*said, asked, *results])

    assert [call["name"] for call in asked.tool_calls] == ["get_time"]
    assert all(isinstance(result, ToolMessage) for result in results)
    assert answer.text == "Hello there."


@EACH
def test_langchain_streams_tool_calls(chain: ChatOpenAI, them: StrictProviders, model: str) -> None:
    joined: Any = None
    for piece in chain.bind_tools([get_time]).stream("Use the tool."):
        joined = piece if joined is None else joined + piece

    (call,) = joined.tool_calls
    assert (call["name"], call["args"]) == ("get_time", {"city": "Oslo"})


@EACH
@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_langchain_gives_structured_output(
    chain: ChatOpenAI, them: StrictProviders, model: str, method: Any
) -> None:
    if method == "function_calling" and model.startswith("zhipu"):
        pytest.skip("it cannot be made to call a tool")

    found = chain.with_structured_output(City, method=method).invoke("Which city?")

    assert found == City(city="Oslo", large=True)


@EACH
def test_langchain_gives_any_json(chain: ChatOpenAI, them: StrictProviders, model: str) -> None:
    found = chain.with_structured_output(None, method="json_mode").invoke("A city, as JSON.")

    assert isinstance(found, dict)
