"""What a model's name means."""

from __future__ import annotations

import pytest

from freellmapi.core.errors import GatewayError
from freellmapi.router.resolve import known_names, resolve
from tests.router.conftest import chat, model, snapshot

OSS_A = model("alpha", "openai/gpt-oss", family="gpt-oss")
OSS_B = model("beta", "gpt-oss:free", family="gpt-oss")
LLAMA = model("beta", "llama-3", family="llama-3")
OFF = model("gamma", "gpt-oss", family="gpt-oss")
WORLD = snapshot(
    OSS_A,
    OSS_B,
    LLAMA,
    OFF,
    chain=[
        ("beta/llama-3", True),
        ("beta/gpt-oss:free", True),
        ("alpha/openai/gpt-oss", True),
        ("gamma/gpt-oss", False),
    ],
)
FAMILY = ["beta/gpt-oss:free", "alpha/openai/gpt-oss"]


def meant(name: str, *fallbacks: str) -> list[str]:
    return [m.ref for m in resolve(chat(name, fallbacks=fallbacks), WORLD).models]


@pytest.mark.parametrize(
    ("name", "refs"),
    [
        ("auto", ["beta/llama-3", *FAMILY]),
        ("auto:fast", ["beta/llama-3", *FAMILY]),
        ("llama-3", ["beta/llama-3"]),
        ("gpt-oss", FAMILY),
        ("openai/gpt-oss", ["alpha/openai/gpt-oss", "beta/gpt-oss:free"]),
        ("gpt-oss:free", FAMILY),
        ("alpha/openai/gpt-oss", ["alpha/openai/gpt-oss"]),
        ("gamma/gpt-oss", ["gamma/gpt-oss"]),
    ],
    ids=[
        "auto is the chain",
        "a strategy keeps the models",
        "a family of one",
        "a family in the chain's order, without what is off",
        "a provider's own id comes before its family",
        "an id with a colon is no strategy",
        "the full name is exactly that one",
        "the full name reaches what is off",
    ],
)
def test_a_name_means(name: str, refs: list[str]) -> None:
    assert meant(name) == refs


def test_a_family_that_is_off_everywhere_is_still_reached_by_name() -> None:
    world = snapshot(OFF, LLAMA, chain=[("gamma/gpt-oss", False)])
    assert [m.ref for m in resolve(chat("gpt-oss"), world).models] == ["gamma/gpt-oss"]


def test_fallbacks_follow_each_model_once() -> None:
    assert meant("alpha/openai/gpt-oss", "llama-3", "gpt-oss") == [
        "alpha/openai/gpt-oss",
        "beta/llama-3",
        "beta/gpt-oss:free",
    ]


@pytest.mark.parametrize(
    ("name", "strategy", "named"),
    [
        ("auto", "priority", False),
        ("auto:smart", "smart", False),
        ("llama-3", "priority", True),
    ],
)
def test_the_strategy_is_the_requests_or_the_settings(
    name: str, strategy: str, named: bool
) -> None:
    wanted = resolve(chat(name), WORLD)
    assert (wanted.strategy, wanted.named) == (strategy, named)


@pytest.mark.parametrize(
    ("name", "near"),
    [("lama-3", "llama-3"), ("auto:fats", "auto:fast"), ("gpt-osss", "gpt-oss")],
)
def test_an_unknown_name_is_a_404_with_near_names(name: str, near: str) -> None:
    with pytest.raises(GatewayError) as caught:
        meant(name)
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")
    assert f"'{near}'" in caught.value.message


def test_an_unknown_fallback_is_refused_too() -> None:
    with pytest.raises(GatewayError, match="nobody"):
        meant("auto", "nobody")


def test_a_very_long_name_is_not_repeated_whole() -> None:
    with pytest.raises(GatewayError) as caught:
        meant("x" * 100_000)
    assert len(caught.value.message) < 1_000


def test_every_known_name_resolves() -> None:
    assert all(meant(name) for name in known_names(WORLD))
