"""Whether the address can be listened on, said in one sentence when not."""

from __future__ import annotations

import errno
import socket

from freellmapi.core.errors import SettingsError


def check_port(host: str, port: int) -> None:
    """``SettingsError`` when ``host:port`` cannot be listened on.

    gunicorn would try five times, a second apart, with three lines a time.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except socket.gaierror as exc:
        raise SettingsError(
            f"HOST {host!r} is no address of any machine ({exc.strerror}); use 127.0.0.1 for this "
            "machine alone, 0.0.0.0 for everyone who can reach it."
        ) from exc
    except OSError as exc:
        raise SettingsError(_refusal(host, port, exc)) from exc


def _refusal(host: str, port: int, exc: OSError) -> str:
    if exc.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is taken: another program listens there, perhaps this one "
            "already. Stop it, or choose another port, e.g. PORT=3002."
        )
    if exc.errno == errno.EACCES:
        return f"Port {port} needs rights that this user lacks; choose a PORT from 1024 up."
    if exc.errno == errno.EADDRNOTAVAIL:
        return f"HOST {host} is not an address of this machine; use 127.0.0.1 or 0.0.0.0."
    return f"Cannot listen on {host}:{port} ({exc.strerror}); check HOST and PORT."
