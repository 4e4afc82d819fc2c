"""The counts of several workers of a server: each one's own file, summed by whoever is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from freellmapi.core.counts import Numbers
from freellmapi.storage.exchange import FRESH, Exchange
from tests.fakes.clock import FrozenClock

SERVER = os.getpid()


def counted(n: float, open: float = 0, worst: float = 0) -> Numbers:
    return Numbers({("c", "x"): n}, {("h",): [n, 0, n]}, {("g",): open}, {("w",): worst})


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    folder = tmp_path / "memory"
    folder.mkdir()
    return folder


def test_counts_add_up_and_the_worst_counts(tmp_path: Path, memory: Path) -> None:
    clock = FrozenClock()
    one, two = (Exchange(tmp_path, SERVER, clock, memory) for _ in "12")
    one.tell(counted(2, open=1, worst=0.5))
    total, living = two.all(counted(3, open=4, worst=0.1))
    assert total == Numbers({("c", "x"): 5}, {("h",): [5, 0, 5]}, {("g",): 5}, {("w",): 0.5})
    assert living == 2


def test_a_silent_worker_keeps_its_counts_but_not_its_state(tmp_path: Path, memory: Path) -> None:
    clock = FrozenClock()
    one, two = (Exchange(tmp_path, SERVER, clock, memory) for _ in "12")
    one.tell(counted(2, open=1))
    clock.advance(FRESH + 1)
    total, living = two.all(counted(3, open=4))
    assert (total.counters["c", "x"], total.gauges["g",], living) == (5, 4, 1)


_DIES = """
import sys; from pathlib import Path
from freellmapi.core.clock import SystemClock; from freellmapi.core.counts import Numbers
from freellmapi.storage.exchange import Exchange
folder = Path(sys.argv[1])
counted = Numbers({("c", "x"): 7}, {}, {("g",): 9})
Exchange(folder, int(sys.argv[2]), SystemClock(), folder).all(counted)
"""


def die(folder: Path) -> None:
    """Another worker tells what it has counted, and ends."""
    subprocess.run([sys.executable, "-c", _DIES, str(folder), str(SERVER)], check=True)


def test_the_counts_of_dead_workers_are_kept_in_one_file(tmp_path: Path, memory: Path) -> None:
    for _ in range(2):
        die(memory)
    clock = FrozenClock()
    fresh = Exchange(tmp_path, SERVER, clock, memory)
    total, living = fresh.all(counted(1))
    assert (total.counters["c", "x"], total.gauges["g",], living) == (15, 0, 1)
    (folder,) = memory.iterdir()
    assert len(list(folder.glob("*.told"))) == 1


def test_a_worker_that_dies_later_takes_nothing_with_it(tmp_path: Path, memory: Path) -> None:
    here = Exchange(tmp_path, SERVER, FrozenClock(), memory)
    here.tell(counted(1))
    die(memory)
    assert here.all(counted(1))[0].counters["c", "x"] == 8
    Exchange(tmp_path, SERVER, FrozenClock(), memory).tell(counted(0))
    assert here.all(counted(1))[0].counters["c", "x"] == 8


def test_what_was_buried_counts_once_though_its_file_is_there_again(
    tmp_path: Path, memory: Path
) -> None:
    die(memory)
    (folder,) = memory.iterdir()
    (file,) = folder.glob("*.told")
    left = file.read_bytes()
    here = Exchange(tmp_path, SERVER, FrozenClock(), memory)
    here.tell(counted(1))
    # As if the machine had stopped before the file was removed.
    file.write_bytes(left)
    assert here.all(counted(1))[0].counters["c", "x"] == 8


def test_a_file_that_is_no_file_of_ours_is_passed_over(
    tmp_path: Path, memory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here = Exchange(tmp_path, SERVER, FrozenClock(), memory)
    here.tell(counted(1))
    (folder,) = memory.iterdir()
    (folder / f"{SERVER}-torn.told").write_bytes(b"12.0\n[[")
    assert here.all(counted(1))[0].counters["c", "x"] == 1
    assert "not read" in caplog.text


def test_folders_of_servers_that_were_killed_are_removed(tmp_path: Path, memory: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    Exchange(tmp_path, gone.pid, FrozenClock(), memory).tell(counted(1))
    Exchange(tmp_path, SERVER, FrozenClock(), memory).tell(counted(1))
    assert [folder.name.rpartition("-")[2] for folder in memory.iterdir()] == [str(SERVER)]


@pytest.mark.parametrize("trap", ["link", "open to all"])
def test_a_folder_that_others_could_write_in_is_not_used(
    tmp_path: Path, memory: Path, trap: str
) -> None:
    folder = memory / f"freellmapi-{os.geteuid()}-{SERVER}"
    target = tmp_path / "theirs"
    target.mkdir(mode=0o700)
    if trap == "link":
        folder.symlink_to(target)
    else:
        folder.mkdir()
        folder.chmod(0o777)
    Exchange(tmp_path, SERVER, FrozenClock(), memory).tell(counted(1))
    assert not list(target.iterdir())
    assert not list(folder.iterdir())
    assert (tmp_path / folder.name).is_dir()


def test_nothing_is_made_before_there_is_something_to_tell(tmp_path: Path, memory: Path) -> None:
    Exchange(tmp_path, SERVER, FrozenClock(), memory)
    assert not list(memory.iterdir())


def test_without_any_place_it_is_an_os_error(tmp_path: Path) -> None:
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    with pytest.raises(OSError, match="no folder"):
        Exchange(nowhere, SERVER, FrozenClock(), nowhere).tell(counted(1))
