"""How gunicorn serves FreeLLMAPI: ``gunicorn --config deploy/gunicorn.conf.py``.

Everything a user changes comes from the environment (docs/configuration.md); gunicorn's own
command line options still win over what stands here.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
from typing import Any

from freellmapi.core.errors import SettingsError
from freellmapi.log import log_config
from freellmapi.port import check_port
from freellmapi.settings import Settings

try:
    settings = Settings.load()
except SettingsError as exc:
    print(f"freellmapi: {exc}", file=sys.stderr)
    sys.exit(2)

wsgi_app = "freellmapi.wsgi:app"
proc_name = "freellmapi"
bind = settings.bind
workers = settings.workers
worker_class = "freellmapi.later_worker.LaterWorker"
# Each worker patches the standard library for gevent before it imports the application.
preload_app = False


def _open_files() -> int:
    """Raise the soft limit on open files as far as we may; the limit then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


# A stream holds two sockets, the client's and the provider's; 200 files are for the rest.
worker_connections = max(100, min(6_000, (_open_files() - 200) // 2))
backlog = 2_048

# The worker gives a sign of life each second between requests' work; one that gives none for
# so long hangs, and its streams with it.
timeout = 120
graceful_timeout = 30
keepalive = 75

# Nobody but TRUSTED_PROXIES is believed who the client is, and the application sees to that.
# gunicorn by itself would let every program on this machine say that it came over TLS.
forwarded_allow_ips = ""

# The dashboard keeps its filters in the address.
limit_request_line = 8_190
limit_request_fields = 100
limit_request_field_size = 16_380

# The heartbeat file must not wait for a busy disk.
if os.access("/dev/shm", os.W_OK):
    worker_tmp_dir = "/dev/shm"

# gunicorn 25 and later open a control socket below $HOME, one for all servers of a user.
control_socket_disable = True

# The application logs one line a request itself, with who served it.
accesslog = None
logconfig_dict = log_config(settings.log_format, settings.log_level)


def on_starting(server: Any) -> None:
    """Before anything listens: refuse with one sentence what could never work."""
    try:
        if server.cfg.workers > 1 and settings.redis_url is None:
            raise SettingsError("Several workers need REDIS_URL: they share their counts there.")
        if not {"GUNICORN_PID", "GUNICORN_FD", "LISTEN_PID"} & os.environ.keys():
            for address in server.cfg.address:
                if isinstance(address, tuple):
                    check_port(*address[:2])
    except SettingsError as exc:
        print(f"freellmapi: {exc}", file=sys.stderr)
        sys.exit(2)
    # The rest is looked at by the first worker, see freellmapi/worker.py: this process would
    # keep in memory for good what it takes to do so. gunicorn ends, instead of trying again
    # for ever, when a worker exits with this code, and exits with it itself.
    server.APP_LOAD_ERROR = 2


def when_ready(server: Any) -> None:
    """Have a reload (SIGHUP) with settings that cannot work change nothing, not end the server."""
    reload = server.reload

    def reload_if_sound() -> None:
        # This process does without until then.
        from freellmapi.router.config_file import read_config

        try:
            found = Settings.load()
            if found.config_file is not None:
                read_config(found.config_file)
        except SettingsError as exc:
            server.log.error("not reloaded, all stays as it was: %s", exc)
        else:
            reload()

    server.reload = reload_if_sound


def pre_fork(server: Any, worker: Any) -> None:
    """Leave what there is where it is: a collection in the worker would copy its pages."""
    gc.freeze()
