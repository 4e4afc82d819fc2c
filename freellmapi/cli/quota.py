"""``freellmapi quota``: what is left of every cap, when it resets, and when it runs out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import tzinfo
from typing import Any

import click

from freellmapi.cli.commands import Command
from freellmapi.cli.explain import as_json
from freellmapi.cli.live import ask_server
from freellmapi.cli.session import Session, table
from freellmapi.cli.times import in_time

Json = Mapping[str, Any]

_UNITS = {
    "rpm": "requests a minute",
    "tpm": "tokens a minute",
    "rpd": "requests a day",
    "tpd": "tokens a day",
    "requests_per_month": "requests a month",
    "tokens_per_month": "tokens a month",
}
_HEAD = ("model", "key", "cap", "used", "left", "resets", "runs out")


@click.command(cls=Command)
@click.option("--all", "everything", is_flag=True, help="Caps of which nothing is used, too.")
@click.pass_obj
def quota(session: Session, everything: bool) -> None:
    """Show what is left of the providers' limits, when it resets, and when it will run out.

    A running server is asked; without one, limits are counted from the request log.
    """
    found = ask_server(session, "GET", "/api/quota")
    source = "server" if found is not None else "database"
    if found is None:
        found = as_json(session.services.gateway.meter.read())
    session.show({"source": source, **found}, quota_text(found, everything))


def quota_text(found: Json, everything: bool = False, zone: tzinfo | None = None) -> str:
    """The caps as a table, those that are used unless ``everything`` is wanted."""
    every = list(_rows(found, zone))
    rows = [row for used, row in every if used or everything]
    hidden = len(every) - len(rows)
    parts = [_today(found["today"])]
    if rows:
        parts.append(table([_HEAD, *rows]))
    if hidden:
        them = f"{hidden:,} caps" if hidden > 1 else "One cap"
        parts.append(f"{them} of which nothing is used: freellmapi quota --all")
    return "\n\n".join(parts)


def _today(today: Json) -> str:
    return "\n".join(_of_today(today, unit) for unit in ("requests", "tokens"))


def _of_today(today: Json, unit: str) -> str:
    used, left, more = (today[f"{unit}_{what}"] for what in ("used", "left", "unlimited"))
    said = f"Today {used:,} {unit} were used, and {left:,} are left by daily caps"
    said += " and the day's share of monthly ones"
    return f"{said}; {more:,} models on keys have no such cap." if more else f"{said}."


def _rows(found: Json, zone: tzinfo | None) -> Iterator[tuple[bool, tuple[object, ...]]]:
    """Whether something of the cap is used, and its row."""
    for provider in found["providers"]:
        for account in provider["accounts"]:
            labels = ", ".join(key["label"] or key["key"] for key in account["keys"])
            whole = f"{provider['provider']} (all models)"
            groups = [(whole, account["windows"])]
            groups += [(model["model"], model["windows"]) for model in account["models"]]
            for name, windows in groups:
                for window in windows:
                    yield window["used"] > 0, _row(name, labels, window, found["at"], zone)


def _row(
    name: str, label: str, window: Json, now: float, zone: tzinfo | None
) -> tuple[object, ...]:
    runs_out = window["runs_out_at"]
    return (
        name,
        label,
        f"{window['cap']:,} {_UNITS[window['window']]}",
        f"{window['used']:,}",
        f"{window['left']:,}",
        in_time(window["resets_at"], now, zone) if window["used"] else "",
        "" if runs_out is None else in_time(runs_out, now, zone),
    )
