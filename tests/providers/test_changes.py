from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from freellmapi.core.catalog import GONE, Catalog, Model, Provider
from freellmapi.providers.catalog_fields import CatalogError
from freellmapi.providers.changes import Changes, compare, taken_over, with_discovered
from freellmapi.providers.model_list import Listed

ALPHA = Provider("alpha", "Alpha", "https://alpha.example/v1")
LAB = replace(ALPHA, id="lab", status="user")
DAY = "2026-11-22"


def model(id: str, **fields: Any) -> Model:
    return Model("alpha", id, id, id, **fields)


OLD, BIG = model("old", context=100), model("Big", context=200, tools=True)


def changes(
    *listed: Listed, provider: Provider = ALPHA, known: tuple[Model, ...] = (OLD, BIG)
) -> Changes:
    return compare(provider, known, listed)


def test_new_gone_and_changed() -> None:
    found = changes(
        Listed("big", context=150), Listed("fresh", context=7), Listed("embed-1", chat=False)
    )
    assert [m.id for m in found.new] == ["fresh"]
    assert found.gone == ("old",)
    (changed,) = found.changed
    assert (changed.id, dict(changed.fields)) == ("Big", {"context": (200, 150)})


def test_the_same_list_changes_nothing() -> None:
    assert not changes(Listed("old", context=100), Listed("Big"))


def test_an_empty_list_proves_nothing() -> None:
    assert not changes()
    assert not changes(Listed("x", free=False), provider=replace(ALPHA, free_by_price=True))


def test_an_alias_keeps_a_model_and_its_other_names_are_not_new() -> None:
    latest = model("big-latest")
    listed = (Listed("big-2511", ("big-latest",)), Listed("big-latest", ("big-2511",)))
    assert not changes(*listed, known=(latest,))
    assert [m.id for m in changes(*listed, Listed("old"), known=(OLD,)).new] == ["big-2511"]


def test_where_prices_tell_what_is_free_the_rest_is_not_there() -> None:
    priced = replace(ALPHA, free_by_price=True)
    listed = (Listed("Big", free=True), Listed("old", free=False), Listed("dear", free=False))
    found = changes(*listed, provider=priced)
    assert (found.new, found.gone) == ((), ("old",))
    assert changes(*listed, provider=ALPHA).gone == ()


@pytest.mark.parametrize("status", ["retired", "alias", "special", GONE])
def test_some_models_cannot_vanish(status: str) -> None:
    assert changes(Listed("x", chat=False), known=(model("m", status=status),)).gone == ()


def applied(document: dict[str, Any], provider: Provider = ALPHA) -> Catalog:
    models = [replace(m, provider=provider.id) for m in (OLD, BIG)]
    return with_discovered(Catalog([provider], models), provider.id, document)


def test_what_is_taken_over_holds_in_the_catalog() -> None:
    found = changes(Listed("big", context=150), Listed("fresh", context=7, vision=True))
    catalog = applied(taken_over({}, ALPHA, found, DAY))
    fresh, old = catalog.by_ref["alpha/fresh"], catalog.by_ref["alpha/old"]
    assert (fresh.context, fresh.vision, fresh.enabled) == (7, True, False)
    assert DAY in fresh.source
    assert catalog.by_ref["alpha/Big"].context == 150
    assert (old.status, old.enabled) == (GONE, False)
    assert old.notes == "Alpha no longer lists it (seen on 2026-11-22)"


def test_the_models_of_ones_own_endpoint_take_part_at_once() -> None:
    found = compare(LAB, (), [Listed("fresh")])
    assert applied(taken_over({}, LAB, found, DAY), LAB).by_ref["lab/fresh"].enabled


def test_a_model_that_comes_back_is_used_again() -> None:
    gone = taken_over({}, ALPHA, changes(Listed("Big")), DAY)
    now = tuple(applied(gone).models)
    found = changes(Listed("Big"), Listed("old"), known=now)
    assert (found.back, found.gone, found.new) == (("old",), (), ())
    back = taken_over(gone, ALPHA, found, "2026-11-23")
    assert applied(back).by_ref["alpha/old"].status == "active"
    assert compare(ALPHA, applied(back).models, [Listed("Big"), Listed("old")]) == Changes()


def test_taking_over_twice_adds_up() -> None:
    first = taken_over({}, ALPHA, changes(Listed("old"), Listed("Big"), Listed("a")), DAY)
    models = tuple(applied(first).models)
    listed = (Listed("old"), Listed("Big"), Listed("a", context=5), Listed("b"))
    second = taken_over(first, ALPHA, changes(*listed, known=models), DAY)
    catalog = applied(second)
    assert catalog.by_ref["alpha/a"].context == 5
    assert not catalog.by_ref["alpha/a"].enabled
    assert "alpha/b" in catalog.by_ref


def test_a_provider_that_is_no_more_changes_nothing() -> None:
    catalog = Catalog([ALPHA], [OLD])
    assert with_discovered(catalog, "lost", {"models": {"m": {}}}) is catalog


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"models": {"m": {"context": "big"}}}, r"discovered\[alpha\]\[m\]\.context"),
        ({"models": {"m": None}}, r"discovered\[alpha\]\[m\]: expected a table"),
        ({"gone": ["m"]}, r"discovered\[alpha\]\.gone: expected a table"),
    ],
)
def test_a_damaged_document_is_named(document: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CatalogError, match=complaint):
        applied(document)
