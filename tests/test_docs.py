"""The documents say what is so: variables, settings and commands exist, and all are described."""

from __future__ import annotations

import re
import sys
from dataclasses import fields
from pathlib import Path

import click
import pytest

from freellmapi.cli import main
from freellmapi.router.config_file import parse_config
from freellmapi.router.settings import RouterSettings
from freellmapi.settings import VARIABLES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/configuration.md",
    "docs/architecture.md",
    "docs/routing.md",
    "docs/metrics.md",
    "docs/deployment.md",
    "docs/raspberry-pi.md",
    "docs/reliability.md",
    "docs/performance.md",
)


def shell_lines(page: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_is_described(name: str) -> None:
    assert f"`{name}`" in CONFIGURATION


def test_every_variable_that_is_read_is_known() -> None:
    source = (ROOT / "freellmapi" / "settings.py").read_text()
    assert set(re.findall(r'env\.\w+\("([A-Z_]+)"', source)) - {"XDG_DATA_HOME"} == set(VARIABLES)


def test_the_example_file_is_good_and_has_every_setting() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", CONFIGURATION, re.DOTALL)
    config = parse_config(tomllib.loads(example))
    assert config.problems == ()
    assert set(config.settings) == {f.name for f in fields(RouterSettings)}
    settings, problems = RouterSettings().merged(config.settings)
    assert (settings, problems) == (RouterSettings(), ()), "the example shows the defaults"


def test_the_example_environment_has_only_known_variables() -> None:
    names = re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert {name for name in names if not name.endswith("_API_KEY")} <= set(VARIABLES)


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_documents_exist(page: str) -> None:
    for line in shell_lines(page):
        for words in re.findall(r"freellmapi ((?:[a-z][a-z-]* ?)+)", line):
            command: click.Command = main
            for word in words.split():
                if not isinstance(command, click.Group):
                    break
                assert word in command.commands, f"{page}: {line}"
                command = command.commands[word]


@pytest.mark.parametrize("page", PAGES)
def test_scripts_and_links_in_the_documents_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    for name in re.findall(r"scripts/\w+", text):
        assert (ROOT / name).exists(), name
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((ROOT / page).parent / target).exists(), target


def test_make_targets_in_the_documents_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", "\n".join(shell_lines("CONTRIBUTING.md")), re.M):
        assert f"\n{target}:" in makefile
