"""The ``freellmapi`` command: one module for each group of subcommands."""

from freellmapi.cli.main import main

__all__ = ["main"]
