"""``freellmapi token``: the unified key that clients send."""

from __future__ import annotations

import click

from freellmapi.cli.commands import Group
from freellmapi.cli.session import Session


@click.group(cls=Group)
def token() -> None:
    """The unified key that clients send."""


@token.command()
@click.pass_obj
def show(session: Session) -> None:
    """Print the unified key, and nothing else."""
    session.tokens.ensure()
    found = session.tokens.reveal()
    session.show({"token": found}, found)


@token.command()
@click.pass_obj
def rotate(session: Session) -> None:
    """Make a new unified key and print it; the old one ends at once."""
    made = session.tokens.rotate()
    session.show({"token": made}, made)
