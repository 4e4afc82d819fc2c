"""What the browser loads beside the pages."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from flask import Flask

from freellmapi.dashboard.assets import Assets, _type
from freellmapi.web import asset_folder
from tests.dashboard.conftest import Visitor

GZIP = {"Accept-Encoding": "gzip"}


def assets_of(page: str) -> list[str]:
    return re.findall(r'(?:href|src)="(/static/[^"#]+)', page)


def test_all_that_the_pages_name_is_there_and_cached_for_good(owner: Visitor) -> None:
    named = assets_of(owner.get("/keys").get_data(as_text=True))
    assert len(named) > 10
    for path in set(named):
        response = owner.client.get(path)
        assert response.status_code == 200, path
        assert "immutable" in response.headers["Cache-Control"]


def test_the_first_load_is_light(owner: Visitor) -> None:
    page = owner.client.get("/keys", headers={"Accept": "text/html", **GZIP})
    named = assets_of(gzip.decompress(page.data).decode())
    sizes = [len(owner.client.get(path, headers=GZIP).data) for path in set(named)]
    assert len(page.data) + sum(sizes) < 60_000


def test_an_address_of_another_version_is_checked_each_time(owner: Visitor) -> None:
    response = owner.client.get("/static/0123456789ab/css/base.css")
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-cache"
    again = {"If-None-Match": response.headers["ETag"]}
    assert owner.client.get("/static/css/base.css", headers=again).status_code == 304


@pytest.mark.parametrize("path", ["../pyproject.toml", "..%2fpyproject.toml", "css", "none.js"])
def test_nothing_else_is_served(owner: Visitor, path: str) -> None:
    assert owner.client.get(f"/static/{path}").status_code == 404


def test_text_is_compressed_for_who_takes_it(owner: Visitor) -> None:
    packed = owner.client.get("/static/css/base.css", headers=GZIP)
    plain = owner.client.get("/static/css/base.css")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert "Content-Encoding" not in plain.headers
    refused = owner.client.get("/static/css/base.css", headers={"Accept-Encoding": "gzip;q=0"})
    assert "Content-Encoding" not in refused.headers


def test_a_changed_file_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "a.js"
    file.write_text("1;" * 1_000)
    assets = Assets(tmp_path)
    first = assets.packed(file, lambda job: job())
    file.write_text("2;" * 1_001)
    assert assets.packed(file, lambda job: job()) != first
    assert Assets(tmp_path).version != assets.version


def test_scripts_are_of_a_type_that_runs() -> None:
    assert _type(Path("a.js")) == "text/javascript"


def test_drawings_named_by_pages_are_in_the_sprite(app: Flask) -> None:
    folder = asset_folder()
    drawn = set(re.findall(r'id="([\w-]+)"', (folder / "static/icons.svg").read_text()))
    sources = [*folder.glob("templates/**/*.html"), *folder.glob("static/js/**/*.js")]
    for source in sources:
        for name in re.findall(r'\bicon\("([\w-]+)"', source.read_text()):
            assert name in drawn, f"{source.name}: {name}"
