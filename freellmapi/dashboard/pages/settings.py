"""The page Settings at ``/settings``, and what its script asks for under ``/api/settings``.

Addresses below ``/settings`` take the forms of a page without scripts, and give files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from flask import (
    Blueprint,
    Response,
    flash,
    make_response,
    redirect,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue

from freellmapi.api.responses import json_response
from freellmapi.api.schema import parse_json
from freellmapi.core.errors import GatewayError
from freellmapi.dashboard import guard
from freellmapi.dashboard.pages import settings_import as imports
from freellmapi.dashboard.pages import settings_proxy as proxy
from freellmapi.dashboard.pages import settings_routing as routing
from freellmapi.dashboard.pages import settings_tokens as tokens
from freellmapi.dashboard.pages.settings_page import NO_ANSWER, Answer, settings_page
from freellmapi.dashboard.pages.settings_toml import exported
from freellmapi.dashboard.pages.settings_undo import undo
from freellmapi.dashboard.rendering import rendered
from freellmapi.providers.proxy_fields import FIELDS
from freellmapi.services import Services, services
from freellmapi.storage import backup
from freellmapi.storage.backup import Copying

bp = Blueprint("settings", __name__)

TOML = "application/toml"
_BLOCK = 256 * 1024
_PROMPT = 5.0
"""Seconds in which a copy of the database is whole, unless it is a big one."""
_YEAR = 365 * 86_400


@bp.get("/settings")
def page() -> ResponseReturnValue:
    return _page(NO_ANSWER)


@bp.get("/api/settings/version")
def version() -> Response:
    """What an open tab asks every second: whether anything was written."""
    return json_response({"version": str(services().configuration.snapshot.version)})


# ---- Settings of the router ----


@bp.post("/api/settings/values/<name>")
def save(name: str) -> Response:
    """``{"value"}``; answers with the row, and what stood here before."""
    return _row(name, routing.save(services(), name, _body().get("value")))


@bp.delete("/api/settings/values/<name>")
def reset(name: str) -> Response:
    return _row(name, routing.reset(services(), name))


@bp.post("/settings/values/<name>")
def save_form(name: str) -> ResponseReturnValue:
    if "reset" in request.form:
        return _done(lambda: routing.reset(services(), name), name, "Set back.")
    return _done(lambda: routing.save(services(), name, _field("value")), name, "Saved.")


# ---- Network ----


@bp.post("/api/settings/proxy")
def save_proxy() -> Response:
    """All three fields, as ``proxy_fields`` names them; what was set before stays sealed."""
    return json_response({"before": proxy.save(services(), _body())})


@bp.delete("/api/settings/proxy")
def reset_proxy() -> Response:
    return json_response({"before": proxy.reset(services())})


@bp.post("/api/settings/proxy/undo")
def take_proxy_back() -> Response:
    """``{"before"}`` as an answer has given it."""
    proxy.undo(services(), _body())
    return json_response({})


@bp.post("/settings/proxy")
def save_proxy_form() -> ResponseReturnValue:
    typed = {name: _field(name) for name in FIELDS}
    try:
        if "remove" in request.form:
            proxy.reset(services())
        else:
            proxy.save(services(), typed)
    except GatewayError as exc:
        return _refused(exc, exc.param or "", typed)
    flash("Saved.")
    return redirect(url_for("settings.page", _anchor="network"))


# ---- Client tokens ----


@bp.get("/settings/tokens")
def token_list() -> ResponseReturnValue:
    """The list alone, as the page has it."""
    return rendered("dashboard/settings_tokens.html", tokens=tokens.rows(services()))


@bp.post("/api/settings/tokens")
def create_token() -> Response:
    return json_response({"token": tokens.create(services(), str(_body().get("name") or ""))})


@bp.post("/api/settings/tokens/<int:id>/revoke")
def revoke_token(id: int) -> Response:
    return json_response({"name": tokens.revoke(services(), id).name})


@bp.post("/settings/tokens")
def create_token_form() -> ResponseReturnValue:
    name = _field("name")
    try:
        token = tokens.create(services(), name)
    except GatewayError as exc:
        return _refused(exc, "name", {"name": name})
    return _page(Answer({}, {}, token=token))


@bp.post("/settings/tokens/<int:id>/revoke")
def revoke_token_form(id: int) -> ResponseReturnValue:
    """First asks whether that is meant."""
    if "sure" in request.form:
        return _done(lambda: tokens.revoke(services(), id), "tokens", "Revoked.")
    try:
        return _page(Answer({}, {}, revoking=tokens.find(services(), id)))
    except GatewayError as exc:
        return _refused(exc, "name", {})


# ---- Files ----


@bp.get("/settings/export")
def export() -> Response:
    """The configuration with its keys masked."""
    return _toml(in_full=False)


@bp.post("/settings/export")
def export_in_full() -> ResponseReturnValue:
    return _confirmed("export", lambda: _toml(in_full=True))


@bp.post("/settings/backup")
def back_up() -> ResponseReturnValue:
    return _confirmed("backup", _backup)


@bp.post("/api/settings/confirm")
def confirm() -> Response:
    """Whether this is the password, before the form with it is sent."""
    guard.confirm(str(_body().get("password") or ""))
    return json_response({})


@bp.post("/api/settings/import")
def bring_in() -> Response:
    """``{"text", "apply"?}``: what would change, or the change."""
    given = _body()
    text = str(given.get("text") or "")
    if given.get("apply") is True:
        return json_response({"applied": imports.bring_in(services(), text)})
    found = imports.plan(services(), text)
    changes = [{"what": c.what, "before": c.before, "after": c.after} for c in found.changes]
    return json_response({"changes": changes, "passed_over": found.passed_over})


@bp.post("/api/settings/import/undo")
def take_back() -> Response:
    return json_response({"undone": undo(services())})


@bp.post("/settings/import/undo")
def take_back_form() -> ResponseReturnValue:
    return _done(lambda: undo(services()), "text", "The import is taken back.", "configuration")


@bp.post("/settings/import")
def bring_in_form() -> ResponseReturnValue:
    text = _field("text")
    try:
        text = _chosen_file() or text
    except GatewayError as exc:
        return _refused(exc, "text", {"text": text})
    if "sure" in request.form:
        return _done(
            lambda: imports.bring_in(services(), text), "text", "Imported.", "configuration"
        )
    try:
        return _page(Answer({}, {"text": text}, plan=imports.plan(services(), text)))
    except GatewayError as exc:
        return _refused(exc, "text", {"text": text})


@bp.post("/settings/theme")
def theme() -> ResponseReturnValue:
    """As ``lib/theme.js`` keeps it: no cookie is the system's."""
    wanted = _field("theme")
    response = make_response(redirect(url_for("settings.page", _anchor="appearance")))
    if wanted in ("light", "dark"):
        response.set_cookie("theme", wanted, max_age=_YEAR, samesite="Lax")
    else:
        response.delete_cookie("theme", samesite="Lax")
    return response


def _page(answer: Answer, status: int = 200) -> ResponseReturnValue:
    shown = settings_page(services())
    return rendered("dashboard/settings.html", page=shown, answer=answer), status


def _refused(exc: GatewayError, field: str, typed: Mapping[str, str]) -> ResponseReturnValue:
    """The page again, with what is wrong at the field and what was typed still there."""
    return _page(Answer({field: exc.message}, typed), exc.status)


def _done(
    job: Callable[[], object], name: str, said: str, section: str = ""
) -> ResponseReturnValue:
    """``name`` is the field at which a refusal is shown, ``section`` what is gone back to."""
    try:
        job()
    except GatewayError as exc:
        return _refused(exc, name, {name: _field("value") or _field(name)})
    flash(said)
    return redirect(url_for("settings.page", _anchor=section or name))


def _confirmed(form: str, job: Callable[[], Response]) -> ResponseReturnValue:
    try:
        guard.confirm(request.form.get("password", ""))
        return job()
    except GatewayError as exc:
        return _refused(exc, form, {})


def _row(name: str, before: object) -> Response:
    parts = services()
    row = routing.rows(parts, parts.off_hub(parts.config.settings))[name]
    return json_response({"row": row, "before": before})


def _toml(in_full: bool) -> Response:
    parts = services()
    text = parts.off_hub(lambda: exported(parts, in_full))
    return _download(Response(text, mimetype=TOML), "toml")


def _backup() -> Response:
    parts = services()
    if not backup.can_be_copied(parts.database):
        said = "Only a SQLite database is copied here; back up PostgreSQL with pg_dump."
        raise GatewayError(409, said, code="not_sqlite")
    copying = parts.off_hub(lambda: backup.Copying(parts.database))
    response = Response(_copied(parts, copying), mimetype="application/vnd.sqlite3")
    response.call_on_close(copying.discard)
    if parts.off_hub(lambda: copying.wait(_PROMPT)):
        # Mostly: what goes wrong is then said on the page, and the browser knows the size.
        response.content_length = copying.take().seek(0, 2)
    return _download(response, "db")


def _copied(parts: Services, copying: Copying) -> Iterator[bytes]:
    """Begins when the copy is whole, however long that takes: the download waits, not a job."""
    while not parts.off_hub(lambda: copying.wait(_PROMPT)):
        continue
    file = copying.take()
    file.seek(0)
    while block := file.read(_BLOCK):
        yield block


def _download(response: Response, ending: str) -> Response:
    today = datetime.fromtimestamp(services().clock.now(), timezone.utc).date().isoformat()
    name = f"freellmapi-{today}.{ending}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _body() -> dict[str, Any]:
    return parse_json(request.get_data())


def _chosen_file() -> str:
    given = request.files.get("file")
    return imports.decoded(given.read(4 * imports.LONGEST)) if given and given.filename else ""


def _field(name: str) -> str:
    return request.form.getlist(name)[-1] if name in request.form else ""
