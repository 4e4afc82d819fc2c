"""The configuration file as it changes while the server runs."""

from __future__ import annotations

import logging
from pathlib import Path

from freellmapi.core.errors import SettingsError
from freellmapi.router.config_file import ConfigFile, read_config

log = logging.getLogger(__name__)


class FollowedFile:
    """Looked at now and then; one that cannot be read changes nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._taken = self._seen = self._stamp()

    def read(self) -> ConfigFile:
        """What it says at the start; ``SettingsError`` when it is not TOML."""
        return read_config(self._path)

    def changed(self) -> ConfigFile | None:
        """What it says anew; None while that is the same, may be half written, or is not TOML.

        It is given again until ``taken`` says that it is in force.
        """
        before, self._seen = self._seen, self._stamp()
        if self._seen == self._taken or self._seen != before:
            return None
        try:
            return self.read()
        except SettingsError as exc:
            log.error("what the configuration file said before stays in force: %s", exc)
            self.taken()
            return None

    def taken(self) -> None:
        """What was given last is in force, or is not to be tried again."""
        self._taken = self._seen

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            there = self._path.stat()
        except OSError:
            return None
        return there.st_mtime_ns, there.st_size, there.st_ino
