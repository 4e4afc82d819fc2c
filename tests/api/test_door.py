"""What is behind the door: made when it is first asked for."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import pytest
from werkzeug.test import Client

from freellmapi.app import in_front
from freellmapi.later_app import LaterApp
from freellmapi.services import Services
from freellmapi.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

T = TypeVar("T")


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    yield
    gc.unfreeze()


def here(job: Callable[[], T]) -> T:
    return job()


def page(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"page"]


def test_it_is_made_once_however_many_ask_at_once() -> None:
    made: list[threading.Thread] = []
    all_there = threading.Barrier(4)

    def make() -> WSGIApplication:
        made.append(threading.current_thread())
        return page

    later = LaterApp(make, here)

    def asked(_number: int) -> WSGIApplication:
        all_there.wait(10)
        return later.ready()

    assert made == []
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(asked, range(4))) == [page] * 4
    assert len(made) == 1


def test_what_cannot_be_made_is_said_and_tried_again(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    broken = [True]

    def make() -> WSGIApplication:
        if broken:
            raise ImportError("no module of this name")
        return page

    settings = Settings.from_env({"ENCRYPTION_KEY": "ab" * 32})
    client = Client(in_front(LaterApp(make, here).ready, settings, services))
    for _ in range(2):
        answer = client.get("/setup")
        assert answer.status_code == 500
        assert json.loads(answer.text)["error"]["code"] == "internal_error"
        assert answer.headers["X-Request-Id"] in caplog.text
        assert "no module of this name" in caplog.text
        assert "no module" not in answer.text
        caplog.clear()
    assert client.get("/healthz").status_code == 200, "programs go on being served"
    broken.clear()
    assert client.get("/setup").text == "page"
    assert gc.isenabled()
