"""``freellmapi admin``: who may open the dashboard."""

from __future__ import annotations

import sys

import click

from freellmapi.cli.commands import Group
from freellmapi.cli.session import Failed, Refused, Session
from freellmapi.storage import passwords
from freellmapi.storage.accounts import LONGEST_NAME, AccountExists, UnknownAccount


@click.group(cls=Group)
def admin() -> None:
    """Who may open the dashboard."""


@admin.command()
@click.argument("name", default="admin")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.pass_obj
def create(session: Session, name: str, password_stdin: bool) -> None:
    """Make an account; the password is asked for."""
    if not 0 < len(name.strip()) <= LONGEST_NAME:
        raise Refused(f"A name has 1 to {LONGEST_NAME} characters.")
    try:
        made = session.accounts.create(name.strip(), _password(password_stdin))
    except AccountExists as exc:
        raise Failed(f"{exc} A new password for it: freellmapi admin reset-password") from exc
    session.show({"name": made.name}, f"{made.name} can log in now.")


@admin.command("reset-password")
@click.argument("name", default="")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.pass_obj
def reset_password(session: Session, name: str, password_stdin: bool) -> None:
    """Set a new password; whoever was logged in with the old one is logged out.

    NAME may be left out when there is one account.
    """
    name = name.strip() or _only(session.accounts.names())
    if name not in session.accounts.names():
        raise Refused(f"There is no account named {name!r}.")
    try:
        changed = session.accounts.set_password(name, _password(password_stdin))
    except UnknownAccount as exc:
        raise Failed(str(exc)) from exc
    session.show({"name": changed.name}, f"{changed.name} has a new password.")


def _only(names: tuple[str, ...]) -> str:
    if len(names) == 1:
        return names[0]
    if not names:
        raise Refused("There is no account yet. Make one: freellmapi admin create")
    raise Refused(f"Say whose password; there are: {', '.join(names)}.")


def _password(from_stdin: bool) -> str:
    if from_stdin:
        text = sys.stdin.readline().rstrip("\r\n")
    else:
        text = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    complaint = passwords.complaint(text)
    if complaint:
        raise Refused(complaint)
    return str(text)
