"""Makes the pages that take a while where they hold up nobody."""

from __future__ import annotations

from contextvars import copy_context

from flask import g, render_template

from freellmapi.services import services


def rendered(template: str, **shown: object) -> str:
    """The page, made off the hub from ready values.

    What every page shows of the pool is read before, as the ledger is the hub's own.
    """
    parts = services()
    g.left_today = parts.gateway.meter.read().today
    context = copy_context()
    return parts.off_hub(lambda: context.run(render_template, template, **shown))
