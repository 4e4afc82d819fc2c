"""The units: good in systemd's own eyes, closed to what they do not need, and startable."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.e2e.server import CLOCK, ENCRYPTION_KEY, PATIENCE, ROOT, free_port

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="systemd is not installed"
)

UNITS = ROOT / "deploy" / "systemd"
SERVICES = ("freellmapi.service", "freellmapi-backup.service")
MOST_EXPOSED = 2.0
"""Of 10, as ``systemd-analyze security`` counts; below 2.5 it says OK, below 1 SAFE."""


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with the command where it is on this machine."""
    command = tmp_path / "freellmapi"
    command.write_text(f"#!{sys.executable}\nfrom freellmapi.cli import main\nmain()\n")
    command.chmod(0o755)
    for path in UNITS.iterdir():
        text = path.read_text().replace("/opt/freellmapi/bin/freellmapi", str(command))
        (tmp_path / path.name).write_text(text)
    return tmp_path


def test_there_are_all_units() -> None:
    names = {path.name for path in UNITS.iterdir()}
    assert names == {*SERVICES, "freellmapi.socket", "freellmapi-backup.timer"}


def test_systemd_has_no_complaint(units: Path) -> None:
    files = [str(path) for path in units.iterdir() if path.suffix != ""]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True
    )
    ours = [line for line in done.stderr.splitlines() if "freellmapi" in line]
    assert (done.returncode, ours) == (0, [])


def test_systemd_would_complain(units: Path) -> None:
    """The test above can fail."""
    path = units / "freellmapi.service"
    path.write_text(path.read_text().replace("ProtectClock=true", "ProtectClocks=true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True
    )
    assert "ProtectClocks" in done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_exposed_to_little(name: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNITS / name)],
        capture_output=True,
        text=True,
    )
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= MOST_EXPOSED, done.stdout


def test_both_services_are_closed_alike() -> None:
    """What only one of them has is meant: the backup needs no network at all."""
    ours, backup = (set((UNITS / name).read_text().splitlines()) for name in SERVICES)
    closing = re.compile(r"(Protect|Private|Restrict|System|Memory|Lock|NoNew|Capab|Remove|UMask)")
    different = {line for line in ours ^ backup if closing.match(line)}
    assert different == {
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "RestrictAddressFamilies=AF_UNIX",
        "PrivateNetwork=true",
    }


def test_the_stop_is_longer_than_the_drain() -> None:
    config = (ROOT / "deploy" / "gunicorn.conf.py").read_text()
    unit = (UNITS / "freellmapi.service").read_text()
    (drain,) = re.findall(r"^graceful_timeout = (\d+)", config, re.MULTILINE)
    (stop,) = re.findall(r"^TimeoutStopSec=(\d+)", unit, re.MULTILINE)
    assert int(drain) == 30
    assert int(stop) >= int(drain) + 10


@pytest.fixture
def activated(units: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, Path]]:
    """The command of the unit with a socket that somebody else holds, as systemd starts it."""
    port = free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "ENCRYPTION_KEY": ENCRYPTION_KEY,
        "FREELLMAPI_DATA_DIR": str(units / "data"),
        "PORT": str(port),
    }
    log = units / "log"
    passed = [f"--setenv={name}" for name in environ]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [
                *("systemd-socket-activate", f"--listen=127.0.0.1:{port}", *passed),
                *(str(units / "freellmapi"), "serve"),
            ],
            env=environ,
            cwd=units,
            stdout=file,
            stderr=file,
        )
    yield process, port, log
    process.kill()
    process.wait()


@pytest.mark.e2e
def test_it_serves_on_a_socket_of_systemd(
    activated: tuple[subprocess.Popen[bytes], int, Path],
) -> None:
    process, port, log = activated
    give_up = CLOCK.monotonic() + PATIENCE
    while b"Listening on" not in log.read_bytes():
        assert CLOCK.monotonic() < give_up, log.read_text()
        CLOCK.sleep(0.05)
    # This very request starts it, and waits in the socket until it is up.
    answer = requests.get(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE)
    assert answer.json()["status"] == "ok"
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0, log.read_text()
    assert "Worker exiting" in log.read_text()


@pytest.mark.e2e
def test_systemd_is_told_when_it_is_ready(tmp_path: Path) -> None:
    """``Type=notify``: what is wrong with the settings makes the start fail, not a later one."""
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(address))
        notified.settimeout(PATIENCE)
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "ENCRYPTION_KEY": ENCRYPTION_KEY,
            "FREELLMAPI_DATA_DIR": str(tmp_path / "data"),
            "PORT": str(free_port()),
            "NOTIFY_SOCKET": str(address),
        }
        process = subprocess.Popen(
            [sys.executable, "-c", "from freellmapi.cli import main; main()", "serve"],
            env=environ,
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            assert b"READY=1" in notified.recv(1000)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)
