"""What gunicorn's master knows of a worker: that it becomes one as soon as it has been forked.

The master serves nothing. Were it to import the worker, it would keep gevent in memory for good.
"""

from __future__ import annotations

import gc

from gunicorn.workers.base_async import AsyncWorker


class LaterWorker(AsyncWorker):  # type: ignore[misc]  # gunicorn has no types
    """Becomes ``freellmapi.worker.Worker`` in its own process."""

    def init_process(self) -> None:
        # A fifth of the imports' time; the worker turns it on again once all is loaded.
        gc.disable()
        from freellmapi.worker import Worker

        # gunicorn looks at this very object later, for how far the start has come.
        self.__class__ = Worker
        self.init_process()
