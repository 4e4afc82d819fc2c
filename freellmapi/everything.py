"""``python -m freellmapi.everything``: compiles all that a server loads, by loading it.

Python's options are to be the server's own (``command.SERVER``).
"""

from __future__ import annotations

import compileall
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from gevent import monkey

from freellmapi.dashboard.prices import price_list
from freellmapi.providers.catalog import load_catalog

PROGRAMS = ("gunicorn.__main__", "freellmapi.worker", "freellmapi.app", "freellmapi.web")
LATER = (
    *("gunicorn.glogging", "gevent.resolver.thread", "sqlalchemy.dialects.sqlite"),
    *("encodings.idna", "encodings.unicode_escape"),
)
WHERE_INSTALLED = ("sqlalchemy.dialects.postgresql.psycopg", "psycopg", "freellmapi.sharing")
"""PostgreSQL and Redis."""

if __name__ == "__main__":
    monkey.patch_all()
    for name in (*PROGRAMS, *LATER):
        import_module(name)
    for name in WHERE_INSTALLED:
        with suppress(ImportError):
            import_module(name)
    load_catalog()
    price_list()
    # All of our own is looked at by who asks whether this is to be done, see ``command.py``.
    compileall.compile_dir(Path(__file__).parent, quiet=2)
