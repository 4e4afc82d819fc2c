"""The page Keys at ``/keys``, and what its script asks for under ``/api/keys``."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from flask import (
    Blueprint,
    Response,
    current_app,
    flash,
    make_response,
    redirect,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue

from freellmapi.api.responses import json_response
from freellmapi.core.errors import GatewayError
from freellmapi.dashboard import guard
from freellmapi.dashboard.in_force import in_force
from freellmapi.dashboard.pages import keys_actions as actions
from freellmapi.dashboard.pages import keys_endpoints as endpoints
from freellmapi.dashboard.pages.keys_answers import Done, answered, is_form, text
from freellmapi.dashboard.pages.keys_removed import Removed
from freellmapi.dashboard.pages.keys_rows import keys_page
from freellmapi.dashboard.pages.keys_snippets import snippets
from freellmapi.dashboard.rendering import rendered
from freellmapi.providers.probe import HEALTHY
from freellmapi.services import services

bp = Blueprint("keys", __name__)

COPIED = "unified_copied"
"""The cookie that remembers that the unified key was shown here once."""
REMOVED = "freellmapi.removed"
_YEAR = 365 * 86_400
_MOST_OPEN = 60


@bp.get("/keys")
def page() -> ResponseReturnValue:
    return _page()


@bp.get("/api/keys/rows")
def rows() -> ResponseReturnValue:
    """The list and the first steps anew, as the page has them."""
    return rendered("dashboard/keys_live.html", **_shown())


@bp.post("/api/keys")
@answered
def add() -> Done:
    key = actions.add_key(
        services(), text("provider"), text("key"), text("label"), text("force") == "yes"
    )
    if not is_form():
        return Done(f"Stored {key.mask}.", key.provider, {"key": str(key.id)})
    return _as_done(actions.check(services(), key.provider, str(key.id)))


@bp.post("/api/keys/<provider>/<key>/check")
@answered
def check(provider: str, key: str) -> Done:
    return _as_done(actions.check(services(), provider, key))


@bp.post("/api/keys/check-all")
@answered
def check_all() -> Done:
    found = actions.check_all(services())
    bad = [checked for checked in found if checked.status != HEALTHY]
    if not found:
        return Done("There are no stored keys to check.")
    n = "1 key" if len(found) == 1 else f"{len(found)} keys"
    said = " ".join(checked.message for checked in bad[:3])
    return Done(f"Checked {n}: {said or 'all are good.'}", more={"bad": len(bad)})


@bp.post("/api/keys/<int:id>/enable")
@answered
def enable(id: int) -> Done:
    actions.set_enabled(services(), id, True)
    return Done("The key is used again.")


@bp.post("/api/keys/<int:id>/disable")
@answered
def disable(id: int) -> Done:
    actions.set_enabled(services(), id, False)
    return Done("The key is kept, but not used.")


@bp.post("/api/keys/<int:id>/remove")
@answered
def remove(id: int) -> Done:
    key = _removed().remove_key(services(), id)
    return Done(f"Removed {key.label or key.mask}.", key.provider)


@bp.post("/api/keys/<int:id>/restore")
@answered
def restore(id: int) -> Done:
    key = _removed().restore_key(services(), id)
    return Done(f"{key.label or key.mask} is back.", key.provider)


@bp.post("/api/keys/preview")
def preview() -> Response:
    found = actions.preview(services(), text("text"))
    return json_response({"found": [actions.masked(key) for key in found]})


@bp.post("/api/keys/import")
@answered
def import_keys() -> Done:
    found = actions.preview(services(), text("text"))
    stored = actions.import_keys(services(), found)
    n = len(stored)
    said = "1 key was" if n == 1 else f"{n} keys were"
    left_out = [f"{key.variable or 'A line'}: {key.verdict}." for key in found if not key.is_new]
    message = " ".join([f"{said} stored.", *left_out[:5]])
    return Done(message, more={"keys": [[key.provider, str(key.id)] for key in stored]})


@bp.post("/api/keys/endpoints")
@answered
def add_endpoint() -> Done:
    models = tuple(text("models").replace(",", " ").split())
    wanted = endpoints.Endpoint(text("id"), text("base_url"), text("name"), text("key"), models)
    added = endpoints.add_endpoint(services(), wanted)
    n = "1 model" if added.models == 1 else f"{added.models} models"
    note = f" ({added.note})" if added.note else ""
    return Done(f"{added.id} answers at {added.base_url} with {n}{note}.", added.id)


@bp.post("/api/keys/endpoints/<id>/remove")
@answered
def remove_endpoint(id: str) -> Done:
    _removed().remove_endpoint(services(), id)
    return Done(f"Removed {id}.")


@bp.post("/api/keys/endpoints/<id>/restore")
@answered
def restore_endpoint(id: str) -> Done:
    _removed().restore_endpoint(services(), id)
    return Done(f"{id} is back.", id)


@bp.post("/api/keys/unified/reveal")
def reveal() -> ResponseReturnValue:
    return _told(services().tokens.reveal, guard.confirm_lately)


@bp.post("/api/keys/unified/rotate")
def rotate() -> ResponseReturnValue:
    return _told(services().tokens.rotate, guard.confirm)


def _told(job: Callable[[], str], confirm: Callable[[str], None]) -> ResponseReturnValue:
    """The unified key in full, to a person who has the password."""
    try:
        confirm(text("password"))
    except GatewayError as exc:
        if not is_form():
            raise
        flash(exc.message)
        return redirect(url_for("keys.page"))
    token = in_force(services(), job)
    response = make_response(_page(token) if is_form() else json_response({"token": token}))
    response.set_cookie(COPIED, "1", max_age=_YEAR, samesite="Lax", httponly=True)
    return response


def _page(token: str = "") -> str:
    url = f"{request.host_url.rstrip('/')}/v1"
    shown = _shown()
    return rendered(
        "dashboard/keys.html", token=token, base_url=url, snippets=snippets(url, token), **shown
    )


def _shown() -> dict[str, object]:
    opened = request.args.get("open", "").split(",")[:_MOST_OPEN]
    return {"keys": keys_page(services(), opened), "copied": COPIED in request.cookies}


def _as_done(checked: actions.Checked) -> Done:
    return Done(checked.message, checked.provider, {"status": checked.status})


def _removed() -> Removed:
    """Of this application: what Undo can put back."""
    extensions = current_app.extensions
    return cast(Removed, extensions.setdefault(REMOVED, Removed(services().clock)))
