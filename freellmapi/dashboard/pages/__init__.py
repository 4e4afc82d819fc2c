"""The dashboard's pages, one module each; docs/dashboard.md says how one is built."""

from __future__ import annotations

from freellmapi.dashboard.pages import analytics, chain, keys, playground, settings

PAGES = (keys.bp, chain.bp, playground.bp, analytics.bp, settings.bp)

TABS = (
    ("keys.page", "Keys", "key"),
    ("chain.page", "Chain", "chain"),
    ("playground.page", "Playground", "chat"),
    ("analytics.page", "Analytics", "bars"),
    ("settings.page", "Settings", "sliders"),
)
"""Endpoint, word and icon (a macro in ``_icons.html``), in the order of the top bar."""
