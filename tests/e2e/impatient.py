"""The worker as it is shipped, but for its patience: what takes minutes is over in seconds."""

from __future__ import annotations

from freellmapi.worker import Worker


class Impatient(Worker):
    """For ``--worker-class``."""

    body_time = 2.0
    vanished = 4


OPTIONS = f"--worker-class {Impatient.__module__}.{Impatient.__name__}"
"""For ``GUNICORN_CMD_ARGS``."""
