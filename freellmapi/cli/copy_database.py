"""``freellmapi copy-database``: from SQLite to PostgreSQL, or back."""

from __future__ import annotations

import click

from freellmapi.cli.commands import Command
from freellmapi.cli.session import Failed, Refused, Session
from freellmapi.storage.copying import CopyRefused, copy_all
from freellmapi.storage.db import Database, missing_file
from freellmapi.storage.vault import Vault, parse_key, verify


@click.command("copy-database", cls=Command)
@click.argument("source")
@click.option("--replace", is_flag=True, help="Throw away what the target holds.")
@click.pass_obj
def copy_database(session: Session, source: str, replace: bool) -> None:
    """Copy all of SOURCE, a database URL, into the database of DATABASE_URL.

    SOURCE may be in use, and is left as it is but for the newest schema. The ENCRYPTION_KEY
    stays the same.
    """
    vault = Vault(parse_key(session.settings.encryption_key))
    if missing_file(source):
        raise Refused("There is no SQLite file of that name to copy from.")
    old, new = Database.open(source), Database.open(session.settings.database_url)
    try:
        if old.engine.url == new.engine.url:
            raise Refused("SOURCE is the database of DATABASE_URL itself; set that to the new one.")
        old.migrate()
        verify(old, vault)
        new.migrate()
        copied = copy_all(old, new, replace=replace)
    except CopyRefused as exc:
        raise Failed(str(exc)) from exc
    finally:
        old.close()
        new.close()
    rows = sum(copied.values())
    session.show(
        dict(copied), f"Copied {rows:,} rows of {len(copied)} tables, and counted them there."
    )
