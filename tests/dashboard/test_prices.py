"""The price list is whole, dated, and about models that exist."""

from __future__ import annotations

from datetime import date
from importlib.resources import files

import pytest

from freellmapi.dashboard.prices import Price, price_list
from freellmapi.providers.catalog import load_catalog


def test_the_list_has_a_source_and_a_date() -> None:
    assert date.fromisoformat(price_list().checked) <= date(2026, 11, 22)
    assert "General knowledge" in price_list().source


def test_every_family_is_in_the_catalog_and_priced_once() -> None:
    text = (files("freellmapi.dashboard") / "prices.toml").read_text("utf-8")
    families = load_catalog().families.keys()
    for family in price_list().by_family:
        assert family in families
        assert text.count(f'"{family}"') == 1, family


def test_an_answer_costs_no_less_than_a_question() -> None:
    for family, price in price_list().by_family.items():
        assert 0 < price.input <= price.output, family


def test_most_models_have_a_price() -> None:
    catalog = load_catalog()
    priced = [m for m in catalog.models if price_list().price(catalog, m.provider, m.id)]
    assert len(priced) / len(catalog.models) > 0.7


@pytest.mark.parametrize(
    ("provider", "model", "family"),
    [
        ("groq", "openai/gpt-oss-120b", "gpt-oss-120b"),
        ("cerebras", "gpt-oss-120b", "gpt-oss-120b"),
        ("my-own", "vendor/gpt-oss-20b:free", "gpt-oss-20b"),
        ("my-own", "something", None),
        ("", "", None),
    ],
)
def test_a_price_is_that_of_the_family(provider: str, model: str, family: str | None) -> None:
    expected = price_list().by_family[family] if family else None
    assert price_list().price(load_catalog(), provider, model) == expected


def test_tokens_cost_by_the_million() -> None:
    assert Price(0.15, 0.6, "x").of(2_000_000, 500_000) == pytest.approx(0.6)
