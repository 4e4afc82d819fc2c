"""The command itself, and what becomes of errors that no command expects."""

from __future__ import annotations

from typing import Any

import click

from freellmapi import __version__
from freellmapi.cli.admin import admin
from freellmapi.cli.backup import backup, restore
from freellmapi.cli.chain import chain
from freellmapi.cli.commands import Group
from freellmapi.cli.copy_database import copy_database
from freellmapi.cli.doctor import doctor
from freellmapi.cli.explain import explain
from freellmapi.cli.keys import keys
from freellmapi.cli.keys_exchange import export_keys, import_keys
from freellmapi.cli.models import models
from freellmapi.cli.providers import providers
from freellmapi.cli.quota import quota
from freellmapi.cli.rotate import rotate_key
from freellmapi.cli.serve import serve
from freellmapi.cli.session import Failed, Refused, Session
from freellmapi.cli.token import token
from freellmapi.core.errors import SettingsError
from freellmapi.storage.db import DatabaseUnavailable
from freellmapi.storage.vault import VaultError


class _Main(Group):
    """Exit codes: 0 it worked, 1 it failed, 2 wrong usage or settings."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return self._invoke(ctx)
        except Failed as exc:
            exc.as_json = ctx.ensure_object(Session).as_json
            raise

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SettingsError as exc:
            raise Refused(str(exc)) from exc
        except (DatabaseUnavailable, VaultError) as exc:
            raise Failed(str(exc)) from exc


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="freellmapi")
@click.pass_context
def main(context: click.Context) -> None:
    """One OpenAI-compatible endpoint over the free tiers of many LLM providers.

    Every command works whether the server is running or not; a running server takes
    changes over within a second.
    """
    context.ensure_object(Session)


for command in (serve, keys, providers, models, chain, token, admin, explain, quota, doctor):
    main.add_command(command)
for command in (backup, restore, rotate_key, copy_database):
    main.add_command(command)
for command in (import_keys, export_keys):
    keys.add_command(command)
