"""Tests of the whole program; what they share explains its failed assertions too."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.e2e.faults", "tests.e2e.stage")
