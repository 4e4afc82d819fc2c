"""The page Analytics at ``/analytics``, and what its script asks for under ``/api/analytics``."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Blueprint, Response, current_app, request
from flask.typing import ResponseReturnValue

from freellmapi.api.responses import json_response
from freellmapi.dashboard.pages.analytics_asked import ZONE_COOKIE, Asked
from freellmapi.dashboard.pages.analytics_page import (
    AnalyticsPage,
    analytics_page,
    kind_state,
    mark,
)
from freellmapi.dashboard.reading import Finished
from freellmapi.dashboard.recent import csv_rows
from freellmapi.dashboard.rendering import rendered
from freellmapi.services import Services, services

bp = Blueprint("analytics", __name__)
bp.add_app_template_filter(kind_state)

EXTENSION = "freellmapi.analytics"


@bp.get("/analytics")
def page() -> ResponseReturnValue:
    return rendered("dashboard/analytics.html", page=_shown())


@bp.get("/api/analytics")
def live() -> ResponseReturnValue:
    """``{"mark", "html"}``: the page's content anew; 204 while it would be as at ``?mark=``."""
    parts = services()
    mark_now = parts.off_hub(lambda: mark(parts))
    if request.args.get("mark") == mark_now:
        return "", 204
    html = rendered("dashboard/analytics_content.html", page=_shown())
    return json_response({"mark": mark_now, "html": html})


@bp.get("/api/analytics/requests.csv")
def export() -> Response:
    """The requests that fit the address's range and filters, newest first."""
    parts, asked = services(), _asked()
    filters = asked.filters(parts.clock.now())
    day = asked.local(parts.clock.now()).strftime("%Y-%m-%d")
    rows = _off_hub(parts, csv_rows(parts.database, filters))
    name = f"requests-{asked.range.value}-{day}.csv"
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(rows, mimetype="text/csv", headers=disposition)


def _asked() -> Asked:
    return Asked.of(request.args, request.cookies.get(ZONE_COOKIE, ""))


def _shown() -> AnalyticsPage:
    parts, asked = services(), _asked()
    quota, snapshot = parts.gateway.meter.read(), parts.configuration.snapshot
    finished: Finished = current_app.extensions.setdefault(EXTENSION, Finished())
    return parts.off_hub(lambda: analytics_page(parts, snapshot, quota, asked, finished))


def _off_hub(parts: Services, rows: Iterator[str]) -> Iterator[str]:
    """Each piece read where it holds up nobody."""
    while (piece := parts.off_hub(lambda: next(rows, None))) is not None:
        yield piece
