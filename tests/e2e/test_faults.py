"""The sixteen faults, through gunicorn, with the official client: nobody notices them.

The stories are told at the same time, each with providers of its own, because most of
their time is waiting.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.e2e.faults import LIMITS, QUICK, STORIES, Play, tellings, title
from tests.e2e.server import Server
from tests.e2e.stage import Stage
from tests.fakes.provider import FakeProvider

pytestmark = pytest.mark.e2e

TELLINGS = [pytest.param(telling, id=title(*telling)) for telling in tellings()]
Told = dict[tuple[str, bool, bool], "Future[None]"]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with FakeProvider() as fake:
        stage = Stage(fake, 1, 2, count=60)
        text = stage.config(LIMITS, **QUICK.settings)
        with (
            Server(tmp_path_factory.mktemp("faults"), text) as server,
            server.client(90) as client,
            ThreadPoolExecutor(12) as pool,
        ):
            told: Told = {}
            for name, alone, stream in tellings():
                play = Play(stage, server, client, QUICK, alone, stream)
                told[name, alone, stream] = pool.submit(STORIES[name], play)
            yield told


@pytest.mark.parametrize("telling", TELLINGS)
def test_a_fault_is_survived(told: Told, telling: tuple[str, bool, bool]) -> None:
    told[telling].result(120)
