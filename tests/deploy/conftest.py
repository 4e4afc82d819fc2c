"""Shows what the servers have logged when a test fails, as tests/e2e does."""

from __future__ import annotations

from tests.e2e.conftest import pytest_runtest_makereport

__all__ = ["pytest_runtest_makereport"]
