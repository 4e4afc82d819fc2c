"""requirements.lock pins all that the container runs, each release by its hashes."""

from __future__ import annotations

import re
from pathlib import Path

import tomli
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
LOCK = (ROOT / "requirements.lock").read_text()
PIN = re.compile(
    r"^([a-z0-9-]+)==(\S+)(?: ; [^\\\n]+)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)",
    re.M,
)


def test_every_line_is_a_release_with_its_hashes() -> None:
    rest = PIN.sub("", LOCK)
    assert all(line.startswith("#") for line in rest.splitlines()), rest


def test_all_that_is_shipped_is_pinned_as_it_is_asked_for() -> None:
    project = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    pinned: dict[str, list[str]] = {}
    for name, version, _ in PIN.findall(LOCK):
        pinned.setdefault(canonicalize_name(name), []).append(version)
    for line in (*project["dependencies"], *extras["postgres"], *extras["redis"]):
        wanted = Requirement(line)
        found = pinned.get(canonicalize_name(wanted.name), [])
        assert found, f"{wanted.name} is not in requirements.lock"
        assert all(wanted.specifier.contains(version) for version in found), (line, found)


def test_the_container_is_built_by_it() -> None:
    built = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes -r requirements.lock" in built
    assert "pip install --no-deps ." in built
