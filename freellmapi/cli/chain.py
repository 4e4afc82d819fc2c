"""``freellmapi chain``: the order in which ``auto`` asks the models."""

from __future__ import annotations

import click

from freellmapi.cli.commands import Group
from freellmapi.cli.session import Session, table
from freellmapi.router.snapshot import ChainEntry


@click.group(cls=Group)
def chain() -> None:
    """The order in which 'auto' asks the models."""


@chain.command()
@click.pass_obj
def show(session: Session) -> None:
    """Print the chain, best first."""
    _print(session, session.snapshot.chain)


@chain.command()
@click.argument("model")
@click.argument("position", type=click.IntRange(min=1))
@click.pass_obj
def move(session: Session, model: str, position: int) -> None:
    """Put MODEL (<provider>/<model id>) at POSITION, 1 being asked first."""
    ref = session.model(model).ref
    entries = list(session.snapshot.chain)
    moved = next(entry for entry in entries if entry.model.ref == ref)
    entries.remove(moved)
    entries.insert(position - 1, moved)
    session.put_chain(entries)
    _print(session, tuple(entries))


@chain.command()
@click.pass_obj
def reset(session: Session) -> None:
    """Go back to the catalog's own order, and to the models that it enables."""
    session.put_chain(())
    _print(session, session.snapshot.chain)


def _print(session: Session, entries: tuple[ChainEntry, ...]) -> None:
    rows = [
        (str(place), entry.model.ref, "" if entry.enabled else "disabled")
        for place, entry in enumerate(entries, 1)
    ]
    session.show(
        [
            {"position": place, "model": e.model.ref, "enabled": e.enabled}
            for place, e in enumerate(entries, 1)
        ],
        table([("#", "MODEL", ""), *rows]),
    )
