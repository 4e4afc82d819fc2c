"""``freellmapi backup`` and ``restore``: the whole database in one file, and back."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import click

from freellmapi.cli.commands import Command
from freellmapi.cli.session import Failed, Refused, Session
from freellmapi.storage.archive import ArchiveError, put_back, sqlite_file, write
from freellmapi.storage.vault import Vault, parse_key

_PREFIX, _SUFFIX = "freellmapi-", ".db"


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--keep", type=click.IntRange(1), help="In a folder: keep so many, the newest.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.pass_obj
def backup(session: Session, file: Path, keep: int | None, force: bool) -> None:
    """Copy the database into FILE while the server runs (SQLite).

    FILE may be a folder, which then gets a file with the time in its name. The copy holds
    the keys sealed: it is of no use without ENCRYPTION_KEY, which is not in it.
    """
    live = _live(session, "Back up PostgreSQL with its own pg_dump.")
    is_folder = file.is_dir()
    if keep is not None and not is_folder:
        raise Refused(f"--keep wants a folder, and {file} is none.")
    target = file / f"{_PREFIX}{_stamp(session)}{_SUFFIX}" if is_folder else file
    if target.exists() and not force:
        raise Refused(f"{target} is there already; --force writes over it.")
    try:
        size = write(live, target)
    except ArchiveError as exc:
        raise Failed(str(exc)) from exc
    removed = _thin_out(file, keep) if keep else []
    session.show(
        {"file": str(target), "bytes": size, "removed": removed}, f"{target} ({size:,} bytes)"
    )


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.pass_obj
def restore(session: Session, file: Path) -> None:
    """Make the backup FILE the database again (SQLite); the server must be stopped.

    What was there is kept beside it.
    """
    live = _live(session, "Restore PostgreSQL with its own pg_restore.")
    vault = Vault(parse_key(session.settings.encryption_key))
    aside = live.with_name(f"{live.name}.before-{_stamp(session)}")
    try:
        was_there = put_back(file, live, vault, aside)
    except ArchiveError as exc:
        raise Failed(str(exc)) from exc
    kept = str(aside) if was_there else None
    note = f" What was there is kept as {kept}." if kept else ""
    session.show({"database": str(live), "kept": kept}, f"{live} is the backup now.{note}")


def _live(session: Session, otherwise: str) -> Path:
    found = sqlite_file(session.settings.database_url)
    if found is None:
        raise Refused(f"This is for SQLite. {otherwise}")
    return found


def _stamp(session: Session) -> str:
    """The time in UTC: ``20261122T194200Z``."""
    at = datetime.fromtimestamp(session.clock.now(), timezone.utc)
    return at.strftime("%Y%m%dT%H%M%SZ")


def _thin_out(folder: Path, keep: int) -> list[str]:
    """Removes all but the newest of our own backups in the folder."""
    ours = sorted(folder.glob(f"{_PREFIX}[0-9]*T[0-9]*Z{_SUFFIX}"))
    for path in ours[:-keep]:
        path.unlink(missing_ok=True)
    return [str(path) for path in ours[:-keep]]
