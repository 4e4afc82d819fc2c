"""What a provider's list says against the catalog, and taking that over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from freellmapi.core.catalog import GONE, Catalog, Model, Provider
from freellmapi.core.values import dataclass
from freellmapi.providers.catalog import build_catalog, ranked_model
from freellmapi.providers.catalog_fields import CatalogError, read_table
from freellmapi.providers.catalog_file import MODEL_FIELDS
from freellmapi.providers.model_list import Listed

_COMPARED = ("context", "max_output", "tools", "vision")


@dataclass(frozen=True, slots=True)
class Changed:
    """One model whose list entry differs: field -> (the catalog's, the list's)."""

    id: str
    fields: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class Changes:
    """What a definite answer says against the catalog."""

    new: tuple[Listed, ...] = ()
    gone: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    """Models noted as gone that are listed again."""
    changed: tuple[Changed, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.new or self.gone or self.back or self.changed)


def compare(provider: Provider, models: Iterable[Model], listed: Sequence[Listed]) -> Changes:
    """The differences between ``models``, the catalog's of ``provider``, and its list.

    An empty list proves nothing. Where only models priced 0 are free, the others count as
    not listed. Ids are compared without regard to case.
    """
    offered = [entry for entry in listed if not (provider.free_by_price and entry.free is False)]
    if not offered:
        return Changes()
    by_name: dict[str, Listed] = {}
    for entry in offered:
        for name in (entry.id, *entry.aliases):
            by_name.setdefault(name.casefold(), entry)
    # An entry's own id outweighs another's alias.
    by_name.update({entry.id.casefold(): entry for entry in offered})
    known = {model.id.casefold(): model for model in models}
    here = [(model, by_name.get(name)) for name, model in known.items()]
    return Changes(
        new=tuple(_new(offered, known)),
        gone=tuple(m.id for m, entry in here if entry is None and _may_vanish(m)),
        back=tuple(m.id for m, entry in here if entry and m.status == GONE),
        changed=tuple(c for m, entry in here if entry and (c := _changed(m, entry))),
    )


def taken_over(
    document: Mapping[str, Any], provider: Provider, changes: Changes, day: str
) -> dict[str, Any]:
    """What is kept of ``provider`` once ``changes``, seen on ``day``, are taken over."""
    models: dict[str, Any] = dict(document.get("models", {}))
    gone: dict[str, str] = dict(document.get("gone", {}))
    for entry in changes.new:
        models[entry.id] = {**_definition(entry), "enabled": provider.status == "user"}
    for changed in changes.changed:
        stated = {name: now for name, (_, now) in changed.fields.items()}
        models[changed.id] = {**models.get(changed.id, {}), **stated}
    for name in changes.gone:
        gone[name] = day
    for name in changes.back:
        gone.pop(name, None)
    return {"date": day, "models": models, "gone": gone}


def with_discovered(catalog: Catalog, provider_id: str, document: Mapping[str, Any]) -> Catalog:
    """The catalog with what was taken over from the list of one provider.

    ``CatalogError`` names an entry that cannot be used. A provider that there is no more
    changes nothing.
    """
    provider = catalog.providers.get(provider_id)
    if provider is None:
        return catalog
    models = {model.ref: model for model in catalog.models}
    for name, fields in _table(document, "models", provider_id).items():
        place = f"discovered[{provider_id}][{name}]"
        if not isinstance(fields, Mapping):
            raise CatalogError(place, "expected a table")
        found = read_table({**fields, "id": name}, MODEL_FIELDS, place)
        old = models.get(f"{provider_id}/{name}")
        found.setdefault("source", f"{provider.name}'s model list of {document.get('date')}")
        model = ranked_model(catalog, provider, found) if old is None else _updated(old, found)
        models[model.ref] = model
    for name, day in _table(document, "gone", provider_id).items():
        old = models.get(f"{provider_id}/{name}")
        if old is not None:
            models[old.ref] = replace(
                old,
                status=GONE,
                enabled=False,
                notes=f"{provider.name} no longer lists it (seen on {day})",
            )
    return build_catalog(catalog.providers.values(), models.values())


def _new(offered: Sequence[Listed], known: Mapping[str, Model]) -> Iterable[Listed]:
    seen: set[str] = set(known)
    for entry in offered:
        names = {name.casefold() for name in (entry.id, *entry.aliases)}
        if entry.chat and seen.isdisjoint(names):
            yield entry
        seen |= names


def _may_vanish(model: Model) -> bool:
    """Aliases work without being listed; what is retired or gone cannot vanish again."""
    return model.status not in (GONE, "retired", "alias", "special")


def _changed(model: Model, entry: Listed) -> Changed | None:
    pairs = {name: (getattr(model, name), getattr(entry, name)) for name in _COMPARED}
    fields = {n: pair for n, pair in pairs.items() if pair[1] is not None and pair[0] != pair[1]}
    return Changed(model.id, MappingProxyType(fields)) if fields else None


def _definition(entry: Listed) -> dict[str, Any]:
    stated = {name: getattr(entry, name) for name in _COMPARED}
    return {name: value for name, value in stated.items() if value is not None}


def _updated(model: Model, found: Mapping[str, Any]) -> Model:
    return replace(model, **{name: found[name] for name in _COMPARED if name in found})


def _table(document: Mapping[str, Any], name: str, provider: str) -> Mapping[str, Any]:
    value = document.get(name, {})
    if not isinstance(value, Mapping):
        raise CatalogError(f"discovered[{provider}].{name}", "expected a table")
    return value
