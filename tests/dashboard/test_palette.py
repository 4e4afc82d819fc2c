"""What ``Ctrl K`` is given to find."""

from __future__ import annotations

import re

from tests.dashboard.conftest import Visitor


def hrefs(owner: Visitor, kind: str) -> list[str]:
    items = owner.get("/api/palette").get_json()["items"]
    return [item["href"] for item in items if item["kind"] == kind]


def test_every_section_of_the_settings_is_found(owner: Visitor) -> None:
    page = owner.get("/settings").get_data(as_text=True)
    ids = re.findall(r'<section id="([^"]+)"', page)
    assert hrefs(owner, "Settings") == [f"/settings#{id}" for id in ids]


def test_providers_and_models_are_found_on_their_pages(owner: Visitor) -> None:
    assert "/keys#lab" in hrefs(owner, "Provider")
    assert "/chain#lab/alpha" in hrefs(owner, "Model")
