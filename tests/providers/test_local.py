"""The supervisor of the model on this machine, with a fake child behind real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from freellmapi.core.clock import SystemClock
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.providers import local, local_process
from freellmapi.providers.local import LocalModel, LocalSettings

FAKES = Path(__file__).parents[1] / "fakes"
CLOCK = SystemClock()


class JumpingClock(SystemClock):
    """The machine's clock, which a test can put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return CLOCK.monotonic() + self.ahead


class Rig:
    """Makes local models with a fake child, knows its starts, and stops them all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = JumpingClock()
        self.made: list[LocalModel] = []

    def model(
        self, *behaviour: str, installed: bool = True, **settings: float | Path
    ) -> LocalModel:
        child = (sys.executable, str(FAKES / "local_child.py"), "--starts", str(self.starts_file))
        made = LocalModel(
            LocalSettings(self.folder, **settings),  # type: ignore[arg-type]  # by name
            self.clock,
            command=(*child, *behaviour),
            installed=lambda module: installed,
        )
        self.made.append(made)
        return made

    @property
    def starts_file(self) -> Path:
        return self.folder / "starts"

    @property
    def pids(self) -> list[int]:
        """The children started so far, in order."""
        return [int(line) for line in self.starts_file.read_text().split()]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    for model in made.made:
        model.stop()


def ask(base_url: str, key: str) -> requests.Response:
    url = f"{base_url}/chat/completions"
    return requests.post(url, json={}, headers={"Authorization": f"Bearer {key}"}, timeout=5)


def exists(pid: int) -> bool:
    """Whether there is such a process, a zombie included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def runs(pid: int) -> bool:
    """Whether it still runs: a dead orphan may wait for an init that does not reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(true: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = CLOCK.monotonic() + seconds
    while not true() and CLOCK.monotonic() < deadline:
        CLOCK.sleep(0.01)
    return true()


def unreachable(model: LocalModel) -> str:
    """The reason given for not starting."""
    with pytest.raises(UpstreamError) as caught:
        model.base_url()
    assert caught.value.kind is ErrorKind.UNREACHABLE
    return caught.value.message


def test_twenty_callers_share_one_start(rig: Rig) -> None:
    model = rig.model()
    with ThreadPoolExecutor(20) as pool:
        urls = set(pool.map(lambda _: model.base_url(), range(20)))
    assert len(urls) == 1
    assert len(rig.pids) == 1


def test_the_child_answers_whoever_has_its_key(rig: Rig) -> None:
    model = rig.model()
    url = model.base_url()
    assert ask(url, model.key).json()["choices"][0]["message"]["content"] == "Paris"
    assert ask(url, "another").status_code == 401


def test_nothing_is_started_before_the_first_need(rig: Rig) -> None:
    model = rig.model()
    assert model.available()
    assert not model.running()
    assert not rig.starts_file.exists()


def test_a_killed_child_is_replaced_at_the_next_need(rig: Rig) -> None:
    model = rig.model()
    model.base_url()
    os.kill(rig.pids[0], signal.SIGKILL)
    assert eventually(lambda: not model.running())
    assert ask(model.base_url(), model.key).ok
    assert len(rig.pids) == 2
    assert not exists(rig.pids[0])


def test_a_child_that_keeps_dying_is_given_a_pause(rig: Rig) -> None:
    model = rig.model()
    for _ in range(2):
        model.base_url()
        os.kill(rig.pids[-1], signal.SIGKILL)
        assert eventually(lambda: not model.running())
    assert "status -9" in unreachable(model)
    rig.clock.ahead += 5.0
    assert ask(model.base_url(), model.key).ok


def test_a_child_that_lived_long_has_a_clean_record(rig: Rig) -> None:
    model = rig.model()
    for _ in range(3):
        model.base_url()
        rig.clock.ahead += local.STEADY
        os.kill(rig.pids[-1], signal.SIGKILL)
        assert eventually(lambda: not model.running())
    assert ask(model.base_url(), model.key).ok


def test_a_doubted_child_that_is_well_stays(rig: Rig) -> None:
    model = rig.model()
    url = model.base_url()
    model.doubt()
    assert model.base_url() == url
    assert len(rig.pids) == 1


def test_a_doubted_child_that_hangs_is_replaced(rig: Rig) -> None:
    model = rig.model(stop_timeout=0.1, doubt_timeout=0.2)
    model.base_url()
    os.kill(rig.pids[0], signal.SIGSTOP)
    model.doubt()
    assert ask(model.base_url(), model.key).ok
    assert len(rig.pids) == 2
    assert not exists(rig.pids[0])


def test_stop_leaves_no_process_and_no_zombie(rig: Rig) -> None:
    model = rig.model()
    model.base_url()
    model.stop()
    assert not exists(rig.pids[0])
    assert not model.running()


def test_stop_kills_a_child_that_does_not_listen(rig: Rig) -> None:
    model = rig.model("--deaf", stop_timeout=0.1)
    model.base_url()
    model.stop()
    assert not exists(rig.pids[0])


def test_a_child_that_exits_at_once_is_reported_with_its_last_words(rig: Rig) -> None:
    model = rig.model("--fail", "OSError: No space left on device")
    assert "No space left on device" in unreachable(model)
    assert not exists(rig.pids[0])


def test_a_broken_set_up_is_not_started_again_within_its_pause(rig: Rig) -> None:
    model = rig.model("--fail", "broken")
    unreachable(model)
    rig.clock.ahead += 4.0
    assert "broken" in unreachable(model)
    assert len(rig.pids) == 1
    rig.clock.ahead += 1.1
    unreachable(model)
    assert len(rig.pids) == 2
    rig.clock.ahead += 5.1
    unreachable(model)
    assert len(rig.pids) == 2


def test_callers_at_the_same_time_share_one_failure(rig: Rig) -> None:
    model = rig.model("--fail", "broken")
    with ThreadPoolExecutor(10) as pool:
        reasons = list(pool.map(lambda _: unreachable(model), range(10)))
    assert all("broken" in reason for reason in reasons)
    assert len(rig.pids) == 1


def test_last_words_are_those_of_the_last_run(rig: Rig) -> None:
    log_file = rig.folder / "logs" / "local-model.log"
    log_file.parent.mkdir()
    log_file.write_text("an old trouble\n")
    reason = unreachable(rig.model("--fail", "\n"))
    assert "old trouble" not in reason
    assert "status 1" in reason


def test_a_child_that_is_never_ready_is_given_up(rig: Rig) -> None:
    model = rig.model("--never-ready", start_timeout=0.5)
    assert "not ready within 0.5 s" in unreachable(model)
    assert all(not exists(pid) for pid in rig.pids)


def test_the_log_is_emptied_when_it_has_grown_too_long(rig: Rig) -> None:
    log_file = rig.folder / "logs" / "local-model.log"
    log_file.parent.mkdir()
    log_file.write_bytes(b"x" * (local_process.LOG_LIMIT + 1))
    unreachable(rig.model("--fail", "broken"))
    assert log_file.read_text().strip() == "broken"


def test_a_data_folder_that_cannot_be_written_is_reported(rig: Rig) -> None:
    (rig.folder / "logs").write_text("a file in the way")
    assert "logs" in unreachable(rig.model())


def test_without_the_packages_it_is_unavailable_and_says_what_to_run(rig: Rig) -> None:
    model = rig.model(installed=False)
    assert not model.available()
    assert "scripts/serve --local" in (model.unavailable_reason() or "")
    assert "scripts/serve --local" in unreachable(model)
    assert not rig.starts_file.exists()


def test_a_model_of_ones_own_needs_the_engine_only(tmp_path: Path) -> None:
    gguf = tmp_path / "tiny-1b.gguf"
    settings = LocalSettings(tmp_path, model_path=gguf)
    model = LocalModel(settings, CLOCK, installed=lambda name: name == local.ENGINE_MODULE)
    assert str(gguf) in (model.unavailable_reason() or "")
    gguf.touch()
    assert model.available()
    assert model.model_id() == "tiny-1b"


def test_looking_for_a_package_does_not_import_it() -> None:
    code = (
        "import sys; from freellmapi.providers.local import is_installed;"
        "is_installed('xllamacpp'); assert is_installed('wave'); assert not is_installed('nope_');"
        "assert not {'xllamacpp', 'wave'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=FAKES.parents[1], check=True)


@pytest.mark.parametrize("flavour", ["threads", "gevent"])
class TestInAProcessOfItsOwn:
    @pytest.fixture
    def parent(self, flavour: str, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
        script = [sys.executable, "-m", "tests.fakes.local_parent", flavour]
        with subprocess.Popen(
            [*script, str(tmp_path), str(tmp_path / "starts")],
            cwd=FAKES.parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            yield process
            process.kill()

    @pytest.fixture
    def child(self, parent: subprocess.Popen[str], tmp_path: Path) -> int:
        """The one child that was started for 20 callers, none of whom held up the rest."""
        assert parent.stdout is not None
        said = json.loads(parent.stdout.readline())
        assert len(said["urls"]) == 20
        assert len(set(said["urls"])) == 1
        assert said["longest_pause"] < 0.5
        (pid,) = (tmp_path / "starts").read_text().split()
        return int(pid)

    def test_the_child_ends_when_its_parent_is_killed(
        self, parent: subprocess.Popen[str], child: int
    ) -> None:
        assert runs(child)
        parent.kill()
        assert eventually(lambda: not runs(child))

    def test_the_child_is_stopped_and_reaped(
        self, parent: subprocess.Popen[str], child: int
    ) -> None:
        assert parent.communicate("stop\n", timeout=5)
        assert parent.returncode == 0
        assert not runs(child)
