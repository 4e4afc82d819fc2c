"""Shows what the servers have logged when a test fails."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.e2e.server import RUNNING

SHOWN = 12_000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for server in RUNNING:
            report.sections.append((f"server log of {server.folder.name}", server.log()[-SHOWN:]))
    return report
