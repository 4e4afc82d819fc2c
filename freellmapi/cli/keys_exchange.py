"""``freellmapi keys import`` and ``keys export``: many keys at once, in and out."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from freellmapi.cli.commands import Command
from freellmapi.cli.session import Failed, Refused, Session, table
from freellmapi.core.catalog import Provider
from freellmapi.providers.env_import import EMPTY, MISFIT, UNKNOWN, Found, env_text, parse_env
from freellmapi.storage.keys import DuplicateKey, StoredKey
from freellmapi.storage.vault import VaultError, mask

STDIN = "-"


@click.command(name="import", cls=Command)
@click.argument("source", metavar="[FILE|-]", default=STDIN)
@click.option("--dry-run", is_flag=True, help="Show what would be stored, and stop.")
@click.option("--yes", is_flag=True, help="Store without asking.")
@click.pass_obj
def import_keys(session: Session, source: str, dry_run: bool, yes: bool) -> None:
    """Store the keys of a .env file, shell script or export, pasted or named.

    Shows first what was found (masked) and asks. Several keys for one provider are taken:
    GROQ_API_KEY_2, or GROQ_API_KEY=a,b.
    """
    may_ask = sys.stdin.isatty() or source != STDIN
    if not (dry_run or yes) and (session.as_json or not may_ask):
        raise Refused("There is nobody to ask here: add --yes to store, or --dry-run to look.")
    found = _found(session, _text(source))
    new = [key for key in found if key.is_new]
    if not session.as_json:
        _preview(found, new)
    stored: list[StoredKey] = []
    if new and not dry_run:
        if not yes and not click.confirm(f"Store {_keys(len(new))}?", err=True):
            raise Failed("Nothing was stored.")
        stored = [key for item in new if (key := _store(session, item))]
    session.show(
        {"found": [_as_json(key) for key in found], "stored": [key.id for key in stored]},
        None if dry_run else f"Stored {_keys(len(stored))}.",
    )
    if not found or all(key.verdict in (EMPTY, MISFIT, UNKNOWN) for key in found):
        click.get_current_context().exit(1)


@click.command(name="export", cls=Command)
@click.option("--env", "as_env", is_flag=True, help="As the lines of a .env (the default).")
@click.option("--reveal", is_flag=True, help="The keys themselves, not masked.")
@click.pass_obj
def export_keys(session: Session, as_env: bool, reveal: bool) -> None:
    """Print the stored keys, as a .env or with --json; masked unless --reveal is given.

    `keys import` reads both forms back. Write them to a file that only you can read.
    """
    if as_env and session.as_json:
        raise Refused("Choose one of --env and --json.")
    keys = session.keys.all()
    secrets = {key.id: _secret(session, key) if reveal else key.mask for key in keys}
    providers = session.catalog.providers
    entries = [
        {"provider": k.provider, "key": secrets[k.id], "label": k.label, "enabled": k.enabled}
        for k in keys
    ]
    if session.as_json:
        session.show({"keys": entries})
        return
    if not reveal:
        click.echo("# Masked: --reveal prints the keys themselves.")
    for key in keys:
        if key.provider not in providers:
            click.echo(f"# There is no provider {key.provider} any more: key {key.id} left out.")
    known = [
        (_whole(providers[k.provider], reveal), secrets[k.id])
        for k in keys
        if k.provider in providers
    ]
    click.echo(env_text(known), nl=False)


def _whole(provider: Provider, reveal: bool) -> Provider:
    """A masked key cannot be parted into its variables."""
    return provider if reveal else replace(provider, key_fields=(), env_vars=provider.env_vars[-1:])


def _text(source: str) -> str:
    if source == STDIN:
        if sys.stdin.isatty():
            click.echo("Paste the lines, then press Ctrl-D (Ctrl-Z on Windows):", err=True)
        return sys.stdin.buffer.read().decode(errors="replace")
    try:
        return Path(source).read_text("utf-8", errors="replace")
    except OSError as exc:
        raise Refused(f"{source} cannot be read ({exc.strerror}).") from exc


def _found(session: Session, text: str) -> tuple[Found, ...]:
    def is_stored(provider: str, secret: str) -> bool:
        return session.keys.find(provider, secret) is not None

    try:
        return parse_env(text, _providers(session), is_stored)
    except ValueError as exc:
        raise Refused(f"This cannot be imported: {exc}.") from exc


def _providers(session: Session) -> Mapping[str, Provider]:
    """The catalog's; a gateway put in a provider's place has keys of its own form."""
    return {
        id: replace(provider, key_pattern=None) if session.settings.base_url(id) else provider
        for id, provider in session.catalog.providers.items()
    }


def _store(session: Session, found: Found) -> StoredKey | None:
    assert found.provider is not None
    try:
        return session.keys.add(found.provider, found.secret, found.label)
    except DuplicateKey:
        return None  # Another process was first.


def _secret(session: Session, key: StoredKey) -> str:
    try:
        return session.keys.secret(key)
    except VaultError as exc:
        raise Failed(f"Key {key.id} of {key.provider} cannot be decrypted ({exc}).") from exc


def _preview(found: Sequence[Found], new: Sequence[Found]) -> None:
    if not found:
        click.echo("No keys were found there.")
        return
    rows = [(k.provider or "-", k.variable or "-", _masked(k), k.verdict, k.reason) for k in found]
    click.echo(table([("PROVIDER", "VARIABLE", "KEY", "", ""), *rows]))
    if not new:
        click.echo("None of them is to be stored.")


def _masked(found: Found) -> str:
    return mask(found.secret) if found.secret else ""


def _as_json(found: Found) -> dict[str, object]:
    return {
        "provider": found.provider,
        "variable": found.variable,
        "key": _masked(found),
        "verdict": found.verdict,
        "reason": found.reason,
        "label": found.label,
    }


def _keys(count: int) -> str:
    return f"{count} key" if count == 1 else f"{count} keys"
