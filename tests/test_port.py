from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from freellmapi.core.errors import SettingsError
from freellmapi.port import check_port


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_taken_port_is_one_sentence_with_a_remedy(taken: int) -> None:
    with pytest.raises(SettingsError, match=f"Port {taken} on 127.0.0.1 is taken.* PORT="):
        check_port("127.0.0.1", taken)


def test_a_free_port_stays_free(taken: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    check_port("127.0.0.1", free)
    check_port("127.0.0.1", free)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_foreign_host_is_named(host: str) -> None:
    with pytest.raises(SettingsError, match=f"HOST .*{host}.* 127.0.0.1"):
        check_port(host, 3001)
