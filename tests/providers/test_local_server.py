"""How the child sets its model up; the real one where the ``local`` extra is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from freellmapi.core.clock import SystemClock
from freellmapi.core.errors import UpstreamError
from freellmapi.providers import local_server
from freellmapi.providers.local import LocalModel, LocalSettings

needs_model = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="the 'local' extra is not installed"
)


@pytest.mark.parametrize(
    ("metadata", "own"),
    [
        pytest.param(b"\x17tokenizer.chat_template\x08", True, id="instruction-tuned"),
        pytest.param(b"\x14tokenizer.ggml.model", False, id="base"),
    ],
)
def test_a_chat_template_is_looked_for_in_the_file(
    metadata: bytes, own: bool, tmp_path: Path
) -> None:
    gguf = tmp_path / "m.gguf"
    gguf.write_bytes(b"GGUF\x03\x00\x00\x00" + metadata + b"\x00" * 100)
    assert local_server.has_chat_template(gguf) is own


def test_the_supervisors_options_are_understood(tmp_path: Path) -> None:
    chosen = local_server.options(
        ["--port=1", "--model-id=m", f"--models-dir={tmp_path}", "--model=/m.gguf", "--threads=3"]
    )
    assert (chosen.port, chosen.model, chosen.threads) == (1, Path("/m.gguf"), 3)


def test_the_log_is_cut_while_it_is_written(tmp_path: Path) -> None:
    code = (
        "import os; from freellmapi.providers import local_process as p, local_server as s;"
        "os.write(1, b'x' * (p.LOG_LIMIT + 1)); s.keep_log_short(); os.write(1, b'new')"
    )
    with (tmp_path / "log").open("ab") as log_file:
        subprocess.run([sys.executable, "-c", code], stdout=log_file, check=True)
    assert (tmp_path / "log").read_bytes() == b"new"


@needs_model
@pytest.mark.local_model
@pytest.mark.parametrize(
    ("metadata", "length", "template"),
    [
        pytest.param(b"tokenizer.chat_template", 2048, "", id="instruction-tuned"),
        pytest.param(b"tokenizer.ggml.model", 512, local_server.DIALOGUE, id="base"),
    ],
)
def test_answers_have_an_end_and_base_models_a_dialogue(
    metadata: bytes, length: int, template: str, tmp_path: Path
) -> None:
    gguf = tmp_path / "m.gguf"
    gguf.write_bytes(metadata)
    chosen = local_server.options(["--port=1", "--model-id=m", f"--models-dir={tmp_path}"])
    params = local_server.parameters(chosen, gguf, "key")
    assert (params.n_predict, params.chat_template) == (length, template)
    assert (params.hostnames, params.api_keys) == (["127.0.0.1"], ["key"])
    assert params.cpuparams.n_threads == max(1, local_server.usable_cores() - 1)


class Served:
    """The real model, asked as a client would."""

    def __init__(self, folder: Path, gguf: Path | None = None) -> None:
        self.model = LocalModel(LocalSettings(folder, model_path=gguf), SystemClock())

    def ask(self, content: str, **fields: object) -> requests.Response:
        return requests.post(
            f"{self.model.base_url()}/chat/completions",
            json={"messages": [{"role": "user", "content": content}], **fields},
            headers={"Authorization": f"Bearer {self.model.key}"},
            timeout=60,
        )

    def choice(self, content: str, **fields: object) -> Any:
        return self.ask(content, **fields).json()["choices"][0]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("local")
    made = Served(folder)
    yield made
    made.model.stop()
    shutil.rmtree(folder)


@needs_model
@pytest.mark.local_model
class TestTheRealModel:
    @pytest.mark.parametrize(
        ("question", "word"),
        [("What is the capital of France?", "Paris"), ("What is 2 + 2?", "4")],
    )
    def test_it_answers_and_stops(self, served: Served, question: str, word: str) -> None:
        choice = served.choice(question)
        assert word in choice["message"]["content"]
        assert choice["finish_reason"] == "stop"

    def test_it_streams_with_usage(self, served: Served) -> None:
        answer = served.ask(
            "What is the capital of France?", stream=True, stream_options={"include_usage": True}
        )
        lines = [line for line in answer.text.split("\n\n") if line]
        assert lines[-1] == "data: [DONE]"
        chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
        text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks[:-1])
        assert "Paris" in text
        assert chunks[-1]["usage"]["completion_tokens"] > 0

    def test_it_holds_to_a_schema(self, served: Served) -> None:
        schema = {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
            "required": ["name", "age"],
        }
        choice = served.choice(
            "Describe Ann, who is 30 years old, as JSON.",
            response_format={"type": "json_schema", "json_schema": {"name": "p", "schema": schema}},
        )
        assert isinstance(json.loads(choice["message"]["content"])["age"], int)

    def test_it_answers_no_stranger(self, served: Served) -> None:
        url = f"{served.model.base_url()}/chat/completions"
        assert requests.post(url, json={"messages": []}, timeout=5).status_code == 401

    def test_it_is_put_together_once_and_nothing_is_left_over(self, served: Served) -> None:
        served.model.base_url()
        (model,) = (served.model.settings.data_dir / "models").iterdir()
        written = model.stat().st_mtime_ns
        served.model.stop()
        assert served.choice("Hello!", max_tokens=1)
        assert model.stat().st_mtime_ns == written

    def test_it_keeps_within_its_memory(self, served: Served) -> None:
        served.choice("Hello! " * 500, max_tokens=5)
        pid = next(p for p in children() if b"local_server" in command(p))
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        assert pages * os.sysconf("SC_PAGE_SIZE") < 700_000_000

    def test_a_file_that_is_no_model_is_named(self, tmp_path: Path) -> None:
        gguf = tmp_path / "broken.gguf"
        gguf.write_bytes(b"not a model")
        broken = Served(tmp_path, gguf)
        with pytest.raises(UpstreamError, match=r"llama\.cpp cannot serve .*broken\.gguf"):
            broken.model.base_url()


def children() -> list[int]:
    """Processes of this one, by id."""
    tasks = Path("/proc/self/task")
    return [int(pid) for t in tasks.iterdir() for pid in (t / "children").read_text().split()]


def command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
