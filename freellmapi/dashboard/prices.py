"""What the tokens would have cost: a dated list of about what comparable models are sold for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from freellmapi.core.catalog import Catalog
from freellmapi.core.values import dataclass
from freellmapi.dashboard.report import Saved
from freellmapi.providers.catalog_file import family_of
from freellmapi.providers.toml_file import read_kept
from freellmapi.storage.rollups import Totals

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens, and what kind of model that is the price of."""

    input: float
    output: float
    like: str

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Dollars for so many tokens."""
        return (prompt_tokens * self.input + completion_tokens * self.output) / MILLION


@dataclass(frozen=True, slots=True)
class PriceList:
    """By family. ``checked`` is the day (ISO) on which the list was written."""

    source: str
    checked: str
    by_family: Mapping[str, Price]

    def price(self, catalog: Catalog, provider: str, model: str) -> Price | None:
        """None for a model that is on no list: unknown, and not free."""
        known = catalog.by_ref.get(f"{provider}/{model}")
        return self.by_family.get(known.family if known else family_of(model))


@lru_cache(maxsize=1)
def price_list() -> PriceList:
    """The list that comes with the program, read once."""
    data = read_kept(Path(__file__).with_suffix(".toml"))
    by_family = {
        family: Price(float(entry["input"]), float(entry["output"]), entry["like"])
        for entry in data["price"]
        for family in entry["families"]
    }
    return PriceList(data["source"], str(data["checked"]), MappingProxyType(by_family))


class Costs:
    """What sums of tokens would have cost with a catalog's families."""

    def __init__(self, catalog: Catalog, prices: PriceList) -> None:
        self._catalog = catalog
        self._prices = prices
        self._known: dict[tuple[str, str], Price | None] = {}

    def of(self, totals: Iterable[Totals]) -> float:
        """Dollars; tokens without a price count as nothing."""
        found = ((self._price(t), t) for t in totals)
        return sum((p.of(t.prompt_tokens, t.completion_tokens) for p, t in found if p), 0.0)

    def saved(self, totals: Iterable[Totals]) -> Saved:
        """Where the figure comes from, and how much of the tokens it covers."""
        whole = priced = 0
        for total in totals:
            tokens = total.prompt_tokens + total.completion_tokens
            whole += tokens
            priced += tokens if self._price(total) else 0
        share = priced / whole if whole else None
        return Saved(self._prices.source, self._prices.checked, share)

    def _price(self, total: Totals) -> Price | None:
        who = (total.provider, total.model)
        if who not in self._known:
            self._known[who] = self._prices.price(self._catalog, *who)
        return self._known[who]
