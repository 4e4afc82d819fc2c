"""Figures as people read them. ``static/js/lib/format.js`` says the same in the browser."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from functools import lru_cache

from flask import Flask
from jinja2.utils import urlize
from markupsafe import Markup, escape

from freellmapi.services import services

THIN = "\u202f"
"""A narrow space that does not break: between a figure and its unit."""
_LARGE = ((1e9, "B"), (1e6, "M"), (1e3, "K"))
_SPANS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))
_HUES = 12
# Of all seeds of FNV-1a this one gives the twelve best known providers a hue each.
_HUE_SEED = 1_151


def register(app: Flask) -> None:
    for name in ("ago", "until", "tokens", "count", "seconds", "percent", "when", "iso", "hue"):
        app.add_template_filter(globals()[name], name)
    app.add_template_filter(attributes)
    app.add_template_filter(linked)


def count(n: float) -> str:
    """``1,204``; decimals only where there are any."""
    return f"{n:,.0f}" if float(n).is_integer() else f"{n:,.1f}"


def tokens(n: float) -> str:
    """``3.1 M``: at most three figures, and the full number below a thousand."""
    for size, unit in _LARGE:
        if n >= size * 0.9995:
            return f"{_three(n / size)}{THIN}{unit}"
    return f"{n:,.0f}"


def seconds(duration: float) -> str:
    """``412 ms``, ``1.3 s``, ``14 s``, ``3 h 12 min``, ``2 d 4 h``, ``3 h`` if it is just that."""
    if duration < 0.9995:
        return f"{max(0.0, duration) * 1000:.0f}{THIN}ms"
    if duration < 9.95:
        return f"{duration:.1f}{THIN}s"
    if duration < 59.5:
        return f"{duration:.0f}{THIN}s"
    return _span(duration)


def percent(share: float) -> str:
    """A share of 1: ``99.8 %``, ``14.0 %``; 100 % and 0 % only when it is exactly that."""
    value = share * 100
    if 99.9 < value < 100:
        value = 99.9
    elif 0 < value < 0.1:
        value = 0.1
    places = 0 if value in (0, 100) else 1
    return f"{value:.{places}f}{THIN}%"


def ago(at: float | None, now: float | None = None) -> str:
    """``4 min ago``, ``just now``, ``never``."""
    if at is None:
        return "never"
    past = (services().clock.now() if now is None else now) - at
    return "just now" if past < 10 else f"{_rounded(past)} ago"


def until(at: float | None, now: float | None = None) -> str:
    """``in 3 h 12 min``, ``now``; empty when there is no such time."""
    if at is None:
        return ""
    ahead = at - (services().clock.now() if now is None else now)
    return "now" if ahead <= 0 else f"in {seconds(max(1.0, ahead))}"


def iso(at: float) -> str:
    """For ``<time datetime>``, from which the browser makes the viewer's zone."""
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="seconds")


def when(at: float) -> str:
    """``2026-11-22 14:03:20 UTC``."""
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def attributes(given: Mapping[str, object]) -> Markup:
    """``data_id=3`` as ``data-id="3"``, True as the name alone, and no None or False."""
    words = (
        f" {name.replace('_', '-')}" + ("" if value is True else f'="{escape(value)}"')
        for name, value in given.items()
        if value is not None and value is not False
    )
    return Markup("".join(words))


@lru_cache(maxsize=256)
def linked(text: str) -> Markup:
    """The addresses in it as links to other sites: the catalog's sources, of which few differ."""
    return Markup(urlize(text, target="_blank", rel="noopener noreferrer"))


@lru_cache(maxsize=1_024)
def hue(provider: str) -> int:
    """The provider's own colour everywhere: 0 to 11, as in ``tokens.css``."""
    value = _HUE_SEED
    for byte in provider.encode():
        value = ((value ^ byte) * 16_777_619) & 0xFFFFFFFF
    return (value >> 8) % _HUES


def _three(n: float) -> str:
    return f"{n:.1f}".removesuffix(".0") if n < 99.95 else f"{n:.0f}"


def _rounded(duration: float) -> str:
    for size, unit in _SPANS:
        if duration >= size:
            return f"{duration // size:.0f}{THIN}{unit}"
    return f"{duration:.0f}{THIN}s"


def _span(duration: float) -> str:
    whole = round(duration)
    for (size, unit), (part, smaller) in zip(_SPANS, (*_SPANS[1:], (1.0, "s")), strict=True):
        if whole >= size:
            rest = int(whole % size // part)
            head = f"{int(whole // size)}{THIN}{unit}"
            return f"{head} {rest}{THIN}{smaller}" if rest else head
    return f"{whole}{THIN}s"
