"""Commands and groups that all take ``--json``, before or after the subcommand's name."""

from __future__ import annotations

from typing import Any

import click

from freellmapi.cli.session import Session


def _json_option() -> click.Option:
    def remember(context: click.Context, _param: click.Parameter, value: bool) -> None:
        if value:
            context.ensure_object(Session).as_json = True

    return click.Option(
        ["--json"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=remember,
        help="Print JSON, for scripts.",
    )


class Command(click.Command):
    """A command with ``--json``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(_json_option())


class Group(click.Group):
    """A group with ``--json``, whose commands have it too."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(_json_option())
