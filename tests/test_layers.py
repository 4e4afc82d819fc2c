"""Imports point one way: core < storage < providers < router < services < web < app."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "freellmapi"
LAYERS = ("core", "storage", "providers", "router", "services", "web", "app")

# Who alone may import a library, by file or folder below the package.
CONFINED = {
    "flask": ("services.py", "web.py", "api", "dashboard", "views.py"),
    "sqlalchemy": ("storage", "dashboard/queries.py"),
    "geventhttpclient": ("providers/transport.py", "providers/origins.py"),
    "redis": ("storage/shared.py",),
    "prometheus_client": ("api/metrics.py",),
    "time": ("core/clock.py",),
}


def layer_of(path: Path) -> str:
    """The layer of a module, from where it stands below the package."""
    relative = path.relative_to(PACKAGE)
    if relative.name == "views.py" or relative.parts[0] in ("api", "dashboard"):
        return "web"
    if relative.name == "services.py":
        return "services"
    if relative.parts[0] in LAYERS:
        return relative.parts[0]
    return "app"


def modules() -> list[Path]:
    return [p for p in sorted(PACKAGE.rglob("*.py")) if p != PACKAGE / "__init__.py"]


def imported(path: Path) -> Iterator[str]:
    """Dotted names of all that a module imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_path(name: str) -> Path | None:
    """The file behind ``freellmapi.a.b`` or ``freellmapi.a.b.some_name``."""
    base = PACKAGE.joinpath(*name.split(".")[1:])
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.exists():
            return candidate
    return module_path(name.rpartition(".")[0]) if "." in name else None


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_to_the_left(path: Path) -> None:
    own = LAYERS.index(layer_of(path))
    for name in imported(path):
        if not name.startswith("freellmapi."):
            continue
        target = module_path(name)
        if target is None or target == PACKAGE / "__init__.py":
            continue
        assert LAYERS.index(layer_of(target)) <= own, (
            f"{path.relative_to(ROOT)} ({LAYERS[own]}) imports {name} ({layer_of(target)})"
        )


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_confined_libraries_stay_in_their_rooms(path: Path) -> None:
    relative = path.relative_to(PACKAGE).as_posix()
    for name in imported(path):
        rooms = CONFINED.get(name.split(".")[0])
        if rooms is None:
            continue
        allowed = any(
            relative == room or relative.startswith(f"{room}/") or relative.endswith(f"/{room}")
            for room in rooms
        )
        assert allowed, f"{relative} imports {name}; only {', '.join(rooms)} may"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_settings_reads_the_environment(path: Path) -> None:
    if path.name == "settings.py":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            read = node.value.id == "os" and node.attr in ("environ", "getenv", "putenv")
            assert not read, f"{path.relative_to(ROOT)}:{node.lineno} reads the environment"


def test_no_module_level_cycles() -> None:
    graph = {
        path: {
            t
            for name in imported(path)
            if name.startswith("freellmapi.")
            for t in [module_path(name)]
            if t and t != path
        }
        for path in modules()
    }
    done: set[Path] = set()

    def visit(path: Path, trail: tuple[Path, ...]) -> None:
        assert path not in trail, "import cycle: " + " -> ".join(p.stem for p in (*trail, path))
        if path in done:
            return
        for target in graph.get(path, ()):
            visit(target, (*trail, path))
        done.add(path)

    for path in graph:
        visit(path, ())
