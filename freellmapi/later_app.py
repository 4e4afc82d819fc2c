"""An application that is loaded and made when it is first asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from freellmapi.lasting import lasting
from freellmapi.router.asking import OffHub

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class LaterApp:
    """Makes it once, in a thread, while streams go on; who else asks meanwhile waits for it."""

    def __init__(self, make: Callable[[], WSGIApplication], off_hub: OffHub) -> None:
        self._make = make
        self._off_hub = off_hub
        self._made: WSGIApplication | None = None
        self._making = threading.Lock()

    def ready(self) -> WSGIApplication:
        """The application. What keeps it from being made is raised; who asks next tries again."""
        if self._made is None:
            with self._making:
                if self._made is None:
                    self._made = self._off_hub(self._make_it_last)
        return self._made

    def _make_it_last(self) -> WSGIApplication:
        with lasting():
            return self._make()
