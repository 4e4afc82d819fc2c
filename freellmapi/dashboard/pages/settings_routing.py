"""The router's settings as the page shows them, and how one is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from freellmapi.core.errors import GatewayError
from freellmapi.core.values import dataclass
from freellmapi.dashboard.in_force import in_force
from freellmapi.dashboard.pages.settings_words import CHOICES, FIELDS, Field
from freellmapi.router.settings import RouterSettings
from freellmapi.services import Services

T = TypeVar("T")

HERE, FILE, DEFAULT = "here", "file", "default"


@dataclass(frozen=True, slots=True)
class Setting:
    """One row."""

    name: str
    label: str
    meaning: str
    unit: str
    kind: str
    """``choice``, ``switch`` or ``number``."""
    value: str
    """As the control holds it; of a switch "true" or "false"."""
    choices: tuple[tuple[str, str], ...]
    origin: str
    """``here``, ``file`` or ``default``."""
    fallback: str
    """What it is when nothing is set here, in words."""
    range: str


def rows(parts: Services, stored: Mapping[str, Any]) -> dict[str, Setting]:
    """Every setting by name, in the order of the page."""
    from_file = parts.configuration.given.settings
    beneath, _ = RouterSettings().merged(from_file)
    effective, _ = beneath.merged(stored)
    return {
        field.name: _row(field, effective, beneath, _origin(field.name, stored, from_file))
        for field in FIELDS
    }


def save(parts: Services, name: str, given: object) -> object:
    """Sets one; what stood here before, None for nothing. ``GatewayError`` 422 at its name."""
    field = _known(name)
    value = parsed(name, given)
    _, problems = RouterSettings().merged({name: value})
    if problems:
        raise _wrong(name, f"{_sentence(problems[0], name)} {field.range}".strip())

    def write() -> object:
        before = parts.config.settings().get(name)
        parts.config.put_settings({name: value})
        return before

    return in_force(parts, write)


def reset(parts: Services, name: str) -> object:
    """Back to the file's value or the default; what stood here before."""
    _known(name)

    def write() -> object:
        before = parts.config.settings().get(name)
        parts.config.delete_setting(name)
        return before

    return in_force(parts, write)


def parsed(name: str, given: object) -> object:
    """What a control was filled with as the setting's own type, as far as it is one."""
    if not isinstance(given, str):
        return given
    text = given.strip()
    if isinstance(getattr(RouterSettings(), name), bool):
        return {"true": True, "false": False}.get(text, text)
    if name in CHOICES:
        return text
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def shown(value: object) -> str:
    """A value as a control holds it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def _row(field: Field, effective: RouterSettings, beneath: RouterSettings, origin: str) -> Setting:
    value = getattr(effective, field.name)
    choices = CHOICES.get(field.name, ())
    kind = "choice" if choices else "switch" if isinstance(value, bool) else "number"
    return Setting(
        name=field.name,
        label=field.label,
        meaning=field.meaning,
        unit=field.unit,
        kind=kind,
        value=shown(value),
        choices=choices,
        origin=origin,
        fallback=_in_words(field, getattr(beneath, field.name)),
        range=field.range,
    )


def _in_words(field: Field, value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    named = dict(CHOICES.get(field.name, ()))
    text = shown(value)
    return named.get(text, f"{text} {field.unit}".strip())


def _origin(name: str, stored: Mapping[str, Any], from_file: Mapping[str, Any]) -> str:
    if name in stored:
        return HERE
    return FILE if name in from_file else DEFAULT


def _known(name: str) -> Field:
    for field in FIELDS:
        if field.name == name:
            return field
    raise GatewayError(404, "There is no such setting.", code="not_found")


def _sentence(problem: str, name: str) -> str:
    return problem.replace(f"settings.{name} is", "This is", 1)


def _wrong(name: str, message: str) -> GatewayError:
    return GatewayError(422, message, code="invalid_value", param=name)
