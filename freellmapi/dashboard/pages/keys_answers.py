"""One view for both: a form that a page without scripts sends, and JSON from its script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from functools import wraps
from typing import Any

from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from freellmapi.api.responses import json_response
from freellmapi.api.schema import parse_json
from freellmapi.core.errors import GatewayError
from freellmapi.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, in a sentence; ``more`` is for the script alone."""

    message: str
    provider: str = ""
    """Whose row the page goes back to."""
    more: dict[str, Any] = field(default_factory=dict)


def text(name: str) -> str:
    """A field as it was filled in, without the spaces around it."""
    if not request.is_json:
        return request.form.get(name, "").strip()
    value = parse_json(request.get_data()).get(name, "") if request.get_data() else ""
    if not isinstance(value, str):
        raise GatewayError(422, "This must be a text.", code="invalid_value", param=name)
    return value.strip()


def is_form() -> bool:
    """Whether a page without scripts sent this."""
    return request.mimetype in ("application/x-www-form-urlencoded", "multipart/form-data")


def answered(view: Callable[..., Done]) -> Callable[..., ResponseReturnValue]:
    """JSON for a script; for a form the page again, with what was done or is wrong."""

    @wraps(view)
    def both(**values: Any) -> ResponseReturnValue:
        if not is_form():
            done = view(**values)
            return json_response({"message": done.message, "provider": done.provider} | done.more)
        try:
            done = view(**values)
        except GatewayError as exc:
            flash(exc.message)
            return redirect(url_for("keys.page"))
        flash(done.message)
        return redirect(url_for("keys.page", open=done.provider or None, _anchor=done.provider))

    return both
