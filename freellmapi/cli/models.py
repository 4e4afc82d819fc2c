"""``freellmapi models``: what the catalog has, and whether ``auto`` may use it."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import click

from freellmapi.cli.commands import Group
from freellmapi.cli.session import Session, table
from freellmapi.router.snapshot import ChainEntry


@click.group(cls=Group)
def models() -> None:
    """The models of the catalog."""


@models.command(name="list")
@click.option("--provider", help="Only this provider's models.")
@click.option("--all", "everything", is_flag=True, help="Disabled models too.")
@click.pass_obj
def list_models(session: Session, provider: str | None, everything: bool) -> None:
    """List the models, best first."""
    wanted = session.provider(provider).id if provider else None
    found = [
        entry
        for entry in session.snapshot.chain
        if (everything or entry.enabled or wanted) and wanted in (None, entry.model.provider)
    ]
    heading = ("MODEL", "CONTEXT", "CAN", "LIMITS", "")
    session.show([_as_json(e) for e in found], table([heading, *(_row(e) for e in found)]))


@models.command()
@click.argument("model")
@click.pass_obj
def enable(session: Session, model: str) -> None:
    """Let 'auto' use MODEL (<provider>/<model id>)."""
    _set_enabled(session, model, True)


@models.command()
@click.argument("model")
@click.pass_obj
def disable(session: Session, model: str) -> None:
    """Keep 'auto' from using MODEL; asked for by its full name it still answers."""
    _set_enabled(session, model, False)


def _set_enabled(session: Session, name: str, enabled: bool) -> None:
    ref = session.model(name).ref
    session.put_chain(
        replace(entry, enabled=enabled) if entry.model.ref == ref else entry
        for entry in session.snapshot.chain
    )
    session.show(
        {"model": ref, "enabled": enabled}, f"{ref} is {'enabled' if enabled else 'disabled'}."
    )


def _as_json(entry: ChainEntry) -> dict[str, Any]:
    model = entry.model
    return {
        "model": model.ref,
        "family": model.family,
        "enabled": entry.enabled,
        "context": model.context,
        "tools": model.tools,
        "vision": model.vision,
        "reasoning": model.reasoning,
        "limits": {name: cap for name, cap in asdict(model.limits).items() if cap is not None},
    }


def _row(entry: ChainEntry) -> tuple[str, ...]:
    model = entry.model
    abilities = [name for name in ("tools", "vision", "reasoning") if getattr(model, name)]
    caps = [f"{n} {cap}" for n, cap in asdict(model.limits).items() if cap is not None]
    context = f"{model.context:,}" if model.context else "?"
    state = "" if entry.enabled else "disabled"
    return model.ref, context, ",".join(abilities), ", ".join(caps), state
