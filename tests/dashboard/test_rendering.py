"""Pages that take a while are made where they hold up nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask, before_render_template

from freellmapi.services import Services
from freellmapi.settings import Settings
from tests.dashboard.conftest import Visitor
from tests.fakes.application import application


class Elsewhere:
    """Stands for gevent's thread pool: each job in a thread of its own."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def __call__(self, job: Callable[[], Any]) -> Any:
        found: list[Any] = []

        def run() -> None:
            self.threads.add(threading.get_ident())
            found.append(job())

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return found[0]


@pytest.fixture
def elsewhere() -> Elsewhere:
    return Elsewhere()


@pytest.fixture
def app(settings: Settings, services: Services, elsewhere: Elsewhere) -> Flask:
    return application(settings, replace(services, off_hub=elsewhere))


@pytest.fixture
def rendered_in(app: Flask) -> Iterator[dict[str, int]]:
    """Template name to the thread that made it."""
    found: dict[str, int] = {}

    def note(_: Flask, template: Any, **__: object) -> None:
        found[template.name] = threading.get_ident()

    with before_render_template.connected_to(note, app):
        yield found


@pytest.mark.parametrize("name", ["keys", "chain", "playground", "analytics", "settings"])
def test_big_pages_are_made_off_the_hub(
    owner: Visitor, rendered_in: dict[str, int], name: str
) -> None:
    assert owner.get(f"/{name}").status_code == 200
    assert rendered_in[f"dashboard/{name}.html"] != threading.get_ident()
