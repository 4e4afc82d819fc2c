"""``freellmapi models``: what the catalog has, and whether ``auto`` may use it."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import click

from freellmapi.cli.commands import Group
from freellmapi.cli.models_refresh import refresh
from freellmapi.cli.session import Refused, Session, table
from freellmapi.core.catalog import GONE
from freellmapi.router.snapshot import ChainEntry


@click.group(cls=Group)
def models() -> None:
    """The models of the catalog."""


@models.command(name="list")
@click.argument("providers", metavar="[PROVIDER]...", nargs=-1)
@click.option("--provider", help="Only this provider's models.")
@click.option("--all", "everything", is_flag=True, help="Disabled models too.")
@click.option("--refresh", "ask", is_flag=True, help="Ask the providers; show what changed.")
@click.option("--take-over", is_flag=True, help="With --refresh: go by what they say from now on.")
@click.pass_obj
def list_models(
    session: Session,
    providers: tuple[str, ...],
    provider: str | None,
    everything: bool,
    ask: bool,
    take_over: bool,
) -> None:
    """List the models, best first; or ask the providers for their own lists."""
    names = (*providers, provider) if provider else providers
    if take_over and not ask:
        raise Refused("--take-over goes with --refresh.")
    if ask:
        refresh(session, names, take_over)
        return
    wanted = {session.provider(name).id for name in names}
    found = [
        entry
        for entry in session.snapshot.chain
        if (everything or entry.enabled or wanted)
        and (not wanted or entry.model.provider in wanted)
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
        "gone": model.notes if model.status == GONE else None,
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
    state = "gone" if model.status == GONE else "" if entry.enabled else "disabled"
    return model.ref, context, ",".join(abilities), ", ".join(caps), state
