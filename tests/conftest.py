"""What holds for the whole suite."""

from __future__ import annotations

from hypothesis import settings

# A shared or slow machine must not fail a test for the time that an example took.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
