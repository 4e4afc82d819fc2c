"""One browser and one login for the tests of a file, and what its servers have logged."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest
from playwright.sync_api import Browser, StorageState

from tests.e2e import browser as harness
from tests.e2e.server import RUNNING, Server

SHOWN = 12_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for the whole session: Playwright's event loop is in the way of tests with their own."""
    with harness.launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def login(browser: Browser, server: Server) -> StorageState:
    """What a browser holds after logging in at the file's ``server``, which has the account."""
    return harness.logged_in(browser, server)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for server in RUNNING:
            report.sections.append((f"server log of {server.folder.name}", server.log()[-SHOWN:]))
    return report
