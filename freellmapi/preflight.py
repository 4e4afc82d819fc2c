"""What must be right before the server starts; each check says in one sentence what is not."""

from __future__ import annotations

from freellmapi.router.config_file import read_config
from freellmapi.settings import Settings
from freellmapi.storage.db import Database
from freellmapi.storage.vault import Vault, parse_key, verify


def preflight(settings: Settings) -> None:
    """Checks key, configuration file and database, whose schema it brings up to date.

    ``SettingsError`` names what is wrong; the encryption key must be the database's own.
    """
    vault = Vault(parse_key(settings.encryption_key))
    if settings.config_file is not None:
        read_config(settings.config_file)
    database = Database.open(settings.database_url)
    try:
        database.migrate()
        verify(database, vault)
    finally:
        database.close()
