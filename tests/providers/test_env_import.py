"""Pasted keys: which provider each belongs to, and what is passed over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from freellmapi.core.catalog import Provider
from freellmapi.providers.catalog import load_catalog
from freellmapi.providers.env_import import (
    EMPTY,
    MISFIT,
    NEW,
    REPEATED,
    STORED,
    UNKNOWN,
    Found,
    env_text,
    parse_env,
)

GROQ = "gsk_" + "a1" * 26
GROQ_2 = "gsk_" + "b2" * 26
CEREBRAS = "csk-" + "c3" * 24
MISTRAL = "m4" * 16
ACCOUNT, ACCOUNT_2, TOKEN, TOKEN_2 = "0a" * 16, "0b" * 16, "T" * 40, "U" * 40

CUSTOM = Provider("my-lab", "My Lab", "http://127.0.0.1:8000/v1", status="user")


@pytest.fixture(scope="module")
def providers() -> Mapping[str, Provider]:
    return {**load_catalog().providers, "my-lab": CUSTOM}


def brief(found: tuple[Found, ...]) -> list[tuple[str | None, str, str]]:
    return [(f.provider, f.verdict, f.secret) for f in found]


@pytest.mark.parametrize(
    "text",
    [
        f"GROQ_API_KEY={GROQ}",
        f"export GROQ_API_KEY={GROQ}",
        f'GROQ_API_KEY="{GROQ}"',
        f"GROQ_API_KEY='{GROQ}'  # mine",
        f"GROQ_API_KEY = {GROQ}   # mine",
        f"  groq_api_key={GROQ}\r\n",
        f"\ufeffGROQ_API_KEY={GROQ}",
        f"# keys\n\n[section]\nGROQ_API_KEY={GROQ};\n",
        f"set GROQ_API_KEY={GROQ}",
        f'$env:GROQ_API_KEY = "{GROQ}"',
        f"ENV GROQ_API_KEY={GROQ}",
        f"GROQ_API_KEY: {GROQ}",
        f'"GROQ_API_KEY": "{GROQ}",',
        f"- GROQ_API_KEY={GROQ}",
        f"GROQ_KEY={GROQ}",
        f"groq: {GROQ}",
        GROQ,
        f"- {GROQ}",
        json.dumps({"GROQ_API_KEY": GROQ}),
        json.dumps([GROQ]),
        json.dumps({"keys": [{"provider": "groq", "key": GROQ}]}),
    ],
    ids=lambda text: text.replace(GROQ, "KEY")[:40],
)
def test_every_usual_way_of_writing_a_key_down(
    text: str, providers: Mapping[str, Provider]
) -> None:
    assert brief(parse_env(text, providers)) == [("groq", NEW, GROQ)]


@pytest.mark.parametrize(
    "text",
    [
        f"GROQ_API_KEY={GROQ}\nGROQ_API_KEY_2={GROQ_2}",
        f"GROQ_API_KEY_1={GROQ}\nGROQ_API_KEY_2={GROQ_2}",
        f"GROQ_API_KEY1={GROQ}\nGROQ_API_KEY2={GROQ_2}",
        f"GROQ_API_KEY={GROQ}\nGROQ_API_KEY={GROQ_2}",
        f"GROQ_API_KEY={GROQ},{GROQ_2}",
        f'GROQ_API_KEYS="{GROQ}, {GROQ_2}"',
        json.dumps({"GROQ_API_KEYS": [GROQ, GROQ_2]}),
        f"{GROQ}\n{GROQ_2}",
    ],
    ids=lambda text: text.replace(GROQ, "KEY").replace(GROQ_2, "KEY2")[:40],
)
def test_several_keys_of_a_provider(text: str, providers: Mapping[str, Provider]) -> None:
    assert brief(parse_env(text, providers)) == [("groq", NEW, GROQ), ("groq", NEW, GROQ_2)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"CLOUDFLARE_ACCOUNT_ID={ACCOUNT}\nCLOUDFLARE_API_TOKEN={TOKEN}", [f"{ACCOUNT}:{TOKEN}"]),
        (f"CLOUDFLARE_API_TOKEN={TOKEN}\nCLOUDFLARE_ACCOUNT_ID={ACCOUNT}", [f"{ACCOUNT}:{TOKEN}"]),
        (f"CF_ACCOUNT_ID={ACCOUNT}\nCF_API_TOKEN={TOKEN}", [f"{ACCOUNT}:{TOKEN}"]),
        (f"CLOUDFLARE_API_TOKEN={ACCOUNT}:{TOKEN}", [f"{ACCOUNT}:{TOKEN}"]),
        (f"cloudflare={ACCOUNT}:{TOKEN}", [f"{ACCOUNT}:{TOKEN}"]),
        (f"{ACCOUNT}:{TOKEN}", [f"{ACCOUNT}:{TOKEN}"]),
        (
            f"CLOUDFLARE_ACCOUNT_ID={ACCOUNT}\nCLOUDFLARE_API_TOKEN={TOKEN}\n"
            f"CLOUDFLARE_ACCOUNT_ID_2={ACCOUNT_2}\nCLOUDFLARE_API_TOKEN_2={TOKEN_2}",
            [f"{ACCOUNT}:{TOKEN}", f"{ACCOUNT_2}:{TOKEN_2}"],
        ),
        (
            f"CLOUDFLARE_ACCOUNT_ID={ACCOUNT}\nCLOUDFLARE_API_TOKEN_1={TOKEN}\n"
            f"CLOUDFLARE_API_TOKEN_2={TOKEN_2}",
            [f"{ACCOUNT}:{TOKEN}", f"{ACCOUNT}:{TOKEN_2}"],
        ),
    ],
)
def test_a_key_of_two_variables_is_joined(
    text: str, expected: list[str], providers: Mapping[str, Provider]
) -> None:
    found = parse_env(text, providers)
    assert brief(found) == [("cloudflare", NEW, secret) for secret in expected]


@pytest.mark.parametrize(
    "text", [f"CLOUDFLARE_API_TOKEN={TOKEN}", f"CLOUDFLARE_ACCOUNT_ID={ACCOUNT}"]
)
def test_half_a_key_is_told_of(text: str, providers: Mapping[str, Provider]) -> None:
    (found,) = parse_env(text, providers)
    assert (found.provider, found.verdict, found.secret) == ("cloudflare", MISFIT, "")
    assert "account_id:api_token" in found.reason


@pytest.mark.parametrize(
    ("text", "provider", "verdict", "words"),
    [
        (f"GROQ_API_KEY={CEREBRAS}", "groq", MISFIT, "looks like one of Cerebras"),
        ("GROQ_API_KEY=hello", "groq", MISFIT, "expected: gsk_"),
        ("GROQ_API_KEY=", "groq", EMPTY, "empty"),
        ("GROQ_API_KEY=your-key-here", "groq", EMPTY, "standing"),
        ("GROQ_API_KEY=<key>", "groq", EMPTY, "standing"),
        ("GROQ_API_KEY=${OTHER}", "groq", EMPTY, "standing"),
        ("OLLAMA_API_KEY=changeme", "ollama", EMPTY, "standing"),
        ("GROQ_API_KEY=gsk_xxxxxxxxxxxxxxxxx", "groq", EMPTY, "standing"),
        ("ENCRYPTION_KEY=" + "ab" * 32, None, UNKNOWN, "no provider's variable"),
        (f"DB_PASSWORD={MISTRAL}", None, UNKNOWN, "looks like a key of Mistral"),
        (f"OPENAI_API_KEY=sk-{'a' * 40}", None, UNKNOWN, "no provider's variable"),
        ("PORT=3001", None, UNKNOWN, "no provider's variable"),
        ("sk-" + "a1" * 22, None, UNKNOWN, "write the variable's name"),
        ("what is this", None, UNKNOWN, "no provider's key"),
        (json.dumps({"keys": [{"provider": "nix", "key": "k" * 20}]}), None, UNKNOWN, "'nix'"),
    ],
)
def test_what_is_passed_over_has_a_reason_and_shows_nothing(
    text: str, provider: str | None, verdict: str, words: str, providers: Mapping[str, Provider]
) -> None:
    (found,) = parse_env(text, providers)
    assert (found.provider, found.verdict, found.secret) == (provider, verdict, "")
    assert words in found.reason


def test_the_same_key_twice_is_taken_once(providers: Mapping[str, Provider]) -> None:
    found = parse_env(f"GROQ_API_KEY={GROQ}\nGROQ_API_KEY_2={GROQ}\n{GROQ}", providers)
    assert [f.verdict for f in found] == [NEW, REPEATED, REPEATED]


def test_what_is_stored_is_asked_by_provider(providers: Mapping[str, Provider]) -> None:
    asked = []

    def is_stored(provider: str, secret: str) -> bool:
        asked.append((provider, secret))
        return True

    (found,) = parse_env(f"GROQ_API_KEY={GROQ}", providers, is_stored)
    assert (found.verdict, asked) == (STORED, [("groq", GROQ)])


def test_a_key_never_shows_in_a_repr(providers: Mapping[str, Provider]) -> None:
    assert GROQ not in repr(parse_env(f"GROQ_API_KEY={GROQ}", providers))


@pytest.mark.parametrize("key", ["secret", "none-of-yours", "my-key"])
def test_an_endpoint_of_ones_own_may_have_any_key(
    key: str, providers: Mapping[str, Provider]
) -> None:
    assert brief(parse_env(f"MY_LAB_API_KEY={key}", providers)) == [("my-lab", NEW, key)]


def test_a_whole_file(providers: Mapping[str, Provider]) -> None:
    text = f"""
        # providers
        HOST=0.0.0.0
        GROQ_API_KEY={GROQ}
        MISTRAL_API_KEY='{MISTRAL}'
        HF_TOKEN=
        export CEREBRAS_API_KEY="{CEREBRAS}" # work
    """
    assert [(f.provider, f.verdict) for f in parse_env(text, providers)] == [
        (None, UNKNOWN),
        ("groq", NEW),
        ("mistral", NEW),
        ("huggingface", EMPTY),
        ("cerebras", NEW),
    ]


def test_the_env_form_is_read_back_as_it_was(providers: Mapping[str, Provider]) -> None:
    keys = [
        ("groq", GROQ),
        ("groq", GROQ_2),
        ("cloudflare", f"{ACCOUNT}:{TOKEN}"),
        ("cloudflare", f"{ACCOUNT_2}:{TOKEN_2}"),
        ("google", "AIza" + "g" * 35),
        ("my-lab", "secret"),
    ]
    text = env_text((providers[id], secret) for id, secret in keys)
    assert [(f.provider, f.secret) for f in parse_env(text, providers)] == keys
    assert f"CLOUDFLARE_ACCOUNT_ID_2={ACCOUNT_2}\n" in text


def test_every_provider_of_the_catalog_has_a_name_for_its_keys(
    providers: Mapping[str, Provider],
) -> None:
    for provider in providers.values():
        if provider.base_url:
            free = replace(provider, key_pattern=None)
            key = ":".join("k7" * 9 for _ in provider.key_fields) or "k7" * 9
            (found,) = parse_env(env_text([(free, key)]), {**providers, provider.id: free})
            assert (found.provider, found.secret) == (provider.id, key)


def test_a_text_without_end_is_refused(providers: Mapping[str, Provider]) -> None:
    with pytest.raises(ValueError, match="million"):
        parse_env("x" * 1_000_001, providers)
