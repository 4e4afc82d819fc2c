"""What tests parametrize over."""

from __future__ import annotations

from freellmapi.core.catalog import Model, Provider
from freellmapi.providers.catalog import load_catalog


def all_providers() -> list[Provider]:
    """Every built-in provider, for ``parametrize(..., ids=attrgetter("id"))``."""
    return list(load_catalog().providers.values())


def all_models() -> list[Model]:
    """Every built-in model, in the default order of the chain."""
    return list(load_catalog().models)
