"""The built-in catalog is whole and sane, and the user's changes to it are taken strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from operator import attrgetter
from typing import Any

import pytest

from freellmapi.core.catalog import QUIRK_FLAGS, Model, Provider
from freellmapi.core.limits import Limits
from freellmapi.providers.catalog import (
    CatalogError,
    load_catalog,
    new_model,
    with_base_urls,
    with_custom,
    with_limits,
)
from freellmapi.providers.quirks import FLAGS
from tests.providers.conftest import all_models, all_providers

CORE = (
    "google groq cerebras sambanova nvidia mistral openrouter github huggingface cohere "
    "cloudflare zhipu moonshot minimax"
).split()
USABLE = ("live", "live_uncertain", "trial")

# Made-up keys of each distinctive form, by the provider they belong to.
EXAMPLE_KEYS = {
    "google": "AIza" + "x" * 35,
    "groq": "gsk_" + "x" * 52,
    "cerebras": "csk-" + "x" * 48,
    "sambanova": "00000000-0000-0000-0000-000000000000",
    "nvidia": "nvapi-" + "x" * 64,
    "mistral": "x" * 32,
    "openrouter": "sk-or-v1-" + "0" * 64,
    "github": "ghp_" + "x" * 36,
    "huggingface": "hf_" + "x" * 34,
    "cohere": "x" * 40,
    "cloudflare": "0" * 32 + ":" + "x" * 40,
    "zhipu": "0" * 32 + "." + "x" * 16,
    "moonshot": "sk-" + "x" * 48,
    "minimax": "eyJ" + "x" * 20 + ".eyJ" + "x" * 20 + "." + "x" * 20,
}
# These three share one form, so a key of it names no provider.
AMBIGUOUS = {"moonshot": {"minimax", "siliconflow"}, "sambanova": {"scaleway"}}

each_provider = pytest.mark.parametrize("provider", all_providers(), ids=attrgetter("id"))
each_model = pytest.mark.parametrize("model", all_models(), ids=attrgetter("ref"))


@each_provider
def test_every_provider_says_where_and_when_it_was_read(provider: Provider) -> None:
    assert provider.source
    assert date.fromisoformat(provider.checked) <= date(2100, 1, 1)
    assert provider.free_tier


@each_model
def test_every_model_has_a_source_and_a_word_of_confidence(model: Model) -> None:
    assert model.source
    assert model.confidence
    assert model.name


def test_every_core_provider_is_there() -> None:
    assert set(CORE) <= set(load_catalog().providers)


def test_no_model_is_listed_twice() -> None:
    refs = [model.ref for model in all_models()]
    assert len(refs) == len(set(refs))


@each_provider
def test_a_provider_can_be_reached_once_it_is_known_where(provider: Provider) -> None:
    assert provider.base_url.startswith("https://") or provider.id == "local"
    assert provider.keyless or provider.env_vars
    assert provider.keyless or (provider.key_url and provider.key_hint and provider.probe)


@each_model
def test_only_usable_providers_have_enabled_models(model: Model) -> None:
    status = load_catalog().providers[model.provider].status
    assert not model.enabled or status in USABLE


@each_model
def test_enabled_models_are_not_retired_paid_or_unverified(model: Model) -> None:
    assert not model.enabled or model.status in ("active", "uncertain", "trial")


def test_a_family_is_one_model_wherever_it_is_served() -> None:
    for family, models in load_catalog().families.items():
        assert len({m.intelligence_rank for m in models}) == 1, family


def test_a_model_is_in_its_family_at_every_provider() -> None:
    families = load_catalog().families
    served = {m.provider for m in families["gpt-oss-120b"]}
    assert served == {"groq", "cerebras", "sambanova", "huggingface", "cloudflare", "ollama", "ovh"}
    assert {m.provider for m in families["nemotron-3-ultra"]} == {
        "nvidia",
        "openrouter",
        "kilo",
        "ollama",
        "opencode",
    }


@pytest.mark.parametrize("provider", CORE)
def test_a_key_fits_its_own_pattern_only(provider: str) -> None:
    fits = {
        p.id
        for p in all_providers()
        if p.key_pattern and re.search(p.key_pattern, EXAMPLE_KEYS[provider])
    }
    assert provider in fits
    assert fits - {provider} <= AMBIGUOUS.get(provider, set())


@each_provider
def test_a_completion_probe_names_a_model(provider: Provider) -> None:
    probe = provider.probe
    assert probe is None or (probe.method == "POST") == bool(probe.model)
    assert probe is None or not probe.valid & probe.invalid


def test_the_wire_knows_every_flag_that_the_catalog_may_use() -> None:
    assert frozenset(QUIRK_FLAGS) == FLAGS


# The default order of the chain


def test_the_chain_begins_with_what_lasts_all_day() -> None:
    order = [m.ref for m in all_models() if m.provider in ("google", "groq")]
    assert order[:2] == ["google/gemini-3.5-flash-lite", "groq/openai/gpt-oss-120b"]
    assert order.index("google/gemini-3.8-flash") < order.index("google/gemini-2.5-flash-lite")


def test_disabled_models_come_after_enabled_ones_and_this_machine_between() -> None:
    enabled = [m.enabled for m in all_models()]
    assert enabled == sorted(enabled, reverse=True)
    assert [m for m in all_models() if m.enabled][-1].ref == "local/gemma-3-270m"


def test_keyed_models_come_before_keyless_ones_of_the_family() -> None:
    order = [m.provider for m in load_catalog().families["gpt-oss-120b"]]
    assert order.index("groq") < order.index("ovh")


# Limits counted in the right place


@pytest.mark.parametrize(
    ("ref", "model", "account", "pool"),
    [
        ("groq/openai/gpt-oss-120b", Limits(30, 1000, 8000, 200_000), Limits(), "key"),
        ("groq/groq/compound", Limits(30, 250, 70_000), Limits(), "key"),
        ("google/gemma-4-31b-it", Limits(15, 1500), Limits(), "key"),
        ("openrouter/openrouter/free", Limits(), Limits(20, 50), "key"),
        ("nvidia/openai/gpt-oss-20b", Limits(), Limits(40), "key"),
        ("cohere/command-a-plus-05-2026", Limits(20), Limits(requests_per_month=1000), "key"),
        ("ovh/gpt-oss-120b", Limits(2), Limits(), "ip"),
        ("kilo/kilo-auto/free", Limits(), Limits(3), "ip"),
        ("zhipu/glm-4.7-flash", Limits(concurrency=1), Limits(), "key"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_caps_are_counted_where_the_provider_counts_them(
    ref: str, model: Limits, account: Limits, pool: str
) -> None:
    catalog = load_catalog()
    found = catalog.by_ref[ref]
    provider = catalog.providers[found.provider]
    assert (found.limits, provider.account_limits, provider.pool) == (model, account, pool)


# Keys in parts


def test_a_cloudflare_key_fills_the_url_and_leaves_the_secret() -> None:
    cloudflare = load_catalog().providers["cloudflare"]
    assert cloudflare.secret("acc/../x:to:ken") == "to:ken"
    assert cloudflare.filled(cloudflare.base_url, "acc/../x:to:ken").endswith(
        "/accounts/acc%2F..%2Fx/ai/v1"
    )


def test_a_key_without_a_part_is_refused_without_showing_it() -> None:
    with pytest.raises(ValueError, match="account_id:api_token") as caught:
        load_catalog().providers["cloudflare"].secret("onlyhalf")
    assert "onlyhalf" not in str(caught.value)


@pytest.mark.parametrize(
    ("provider", "environ", "key"),
    [
        ("google", {"GOOGLE_API_KEY": "b"}, "b"),
        ("google", {"GEMINI_API_KEY": "a", "GOOGLE_API_KEY": "b"}, "a"),
        ("google", {"GEMINI_API_KEY": " "}, None),
        ("cloudflare", {"CLOUDFLARE_ACCOUNT_ID": "a", "CLOUDFLARE_API_TOKEN": "t"}, "a:t"),
        ("cloudflare", {"CLOUDFLARE_API_TOKEN": "t"}, None),
        ("local", {}, None),
    ],
)
def test_keys_come_from_the_environment(
    provider: str, environ: Mapping[str, str], key: str | None
) -> None:
    assert load_catalog().providers[provider].env_key(environ) == key


# The user's own changes


def lab(**changes: Any) -> Mapping[str, Mapping[str, Any]]:
    model = {"id": "gemma-3-270m", "context": 16_384, "tools": False, "limits": {"rpm": 30}}
    entry = {"base_url": "http://127.0.0.1:8000/v1", "key": "none", "models": [model], **changes}
    return {"lab": entry}


def test_a_custom_endpoint_joins_the_catalog() -> None:
    catalog = with_custom(load_catalog(), lab())
    provider, model = catalog.providers["lab"], catalog.by_ref["lab/gemma-3-270m"]
    assert (provider.local, provider.keyless, provider.status) == (True, True, "user")
    assert (model.context, model.tools, model.limits) == (16_384, False, Limits(rpm=30))
    assert model.intelligence_rank == 100, "the family's own rank"
    assert "lab" not in load_catalog().providers


@pytest.mark.parametrize(
    ("base_url", "local"),
    [
        ("http://localhost:1234/v1", True),
        ("http://192.168.1.7:11434/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://gpu.lan/v1", True),
        ("https://llm.example.com/v1", False),
        ("http://8.8.8.8/v1", False),
    ],
)
def test_custom_endpoints_nearby_are_local(base_url: str, local: bool) -> None:
    provider = with_custom(load_catalog(), lab(base_url=base_url)).providers["lab"]
    assert provider.local is local


def test_a_remote_endpoint_wants_a_key_unless_told_otherwise() -> None:
    entry = {"base_url": "https://llm.example.com/v1"}
    assert not with_custom(load_catalog(), {"far": entry}).providers["far"].keyless
    open_one = with_custom(load_catalog(), {"far": {**entry, "key": "none"}})
    assert open_one.providers["far"].keyless


def test_a_built_in_provider_can_be_changed_and_stays_itself() -> None:
    change = {
        "base_url": "http://127.0.0.1:9/v1",
        "limits": {"rpd": 7},
        "models": [
            {"id": "openai/gpt-oss-120b", "limits": {"rpd": 9}},
            {"id": "brand/new-9b", "context": 5},
        ],
    }
    catalog = with_custom(load_catalog(), {"groq": change})
    groq, model = catalog.providers["groq"], catalog.by_ref["groq/openai/gpt-oss-120b"]
    assert (groq.local, groq.account_limits.rpd) == (False, 7)
    assert groq.ratelimit_headers == load_catalog().providers["groq"].ratelimit_headers
    assert (model.limits.rpd, model.limits.tpm, model.tools) == (9, 8000, True)
    assert catalog.by_ref["groq/brand/new-9b"].family == "new-9b"


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        (lab(base_url="ftp://x"), r"providers\[lab\]\.base_url: 'ftp://x' is no http"),
        (lab(colour="red"), r"providers\[lab\]: unknown field 'colour'"),
        (lab(models=[{"context": 5}]), r"providers\[lab\]\.models\[\?\]: 'id' is missing"),
        (lab(models=[{"id": "m", "context": "big"}]), r"models\[m\]\.context: expected a whole"),
        (lab(limits={"rpm": 0}), r"providers\[lab\]\.limits\.rpm: expected a whole number"),
        ({"lab": {"key": "none"}}, r"providers\[lab\]: 'base_url' is missing"),
        ({"Lab!": {"base_url": "http://x"}}, r"providers\[Lab!\]\.id: expected lower case"),
    ],
)
def test_a_bad_custom_entry_is_named(
    entry: Mapping[str, Mapping[str, Any]], complaint: str
) -> None:
    with pytest.raises(CatalogError, match=complaint):
        with_custom(load_catalog(), entry)


def test_own_limits_hold_for_a_model_or_the_whole_key() -> None:
    catalog = with_limits(
        load_catalog(),
        [
            {"provider": "groq", "rpm": 3},
            {"provider": "groq", "model": "openai/gpt-oss-120b", "rpd": 4},
        ],
    )
    assert catalog.providers["groq"].account_limits == Limits(rpm=3)
    assert catalog.by_ref["groq/openai/gpt-oss-120b"].limits == Limits(30, 4, 8000, 200_000)


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"rpm": 3}, r"limits\[1\]: 'provider' is missing"),
        ({"provider": "grok", "rpm": 3}, r"limits\[1\]\.provider: no provider 'grok'"),
        ({"provider": "groq", "model": "x"}, r"limits\[1\]\.model: groq has no model 'x'"),
        ({"provider": "groq", "rpm": True}, r"limits\[1\]\.rpm: expected a whole number"),
    ],
)
def test_bad_own_limits_are_named(entry: Mapping[str, Any], complaint: str) -> None:
    with pytest.raises(CatalogError, match=complaint):
        with_limits(load_catalog(), [entry])


def test_another_base_url_takes_lists_and_probes_along() -> None:
    catalog = with_base_urls(
        load_catalog(),
        {"cohere": "http://127.0.0.1:8000/v2/", "huggingface": "http://127.0.0.1:8000/v1"},
    )
    cohere, face = catalog.providers["cohere"], catalog.providers["huggingface"]
    assert cohere.base_url == "http://127.0.0.1:8000/v2"
    assert cohere.models_path.startswith("http://127.0.0.1:8000/v1/models?page_size=1000")
    assert cohere.probe
    assert face.probe
    assert face.probe.path == "http://127.0.0.1:8000/api/whoami-v2"
    assert not cohere.local


@pytest.mark.parametrize("urls", [{"nobody": "http://x"}, {"groq": "groq.com"}])
def test_bad_base_urls_are_named(urls: Mapping[str, str]) -> None:
    with pytest.raises(CatalogError, match=next(iter(urls))):
        with_base_urls(load_catalog(), urls)


def test_a_discovered_model_has_its_providers_defaults() -> None:
    modelscope = load_catalog().providers["modelscope"]
    model = new_model(modelscope, {"id": "Qwen/Qwen3-8B", "context": 40_960})
    assert (model.family, model.enabled, model.limits.rpd) == ("qwen3-8b", False, 200)
