"""``freellmapi serve``: checks what must be right, says what to do next, becomes gunicorn."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from importlib.resources import files
from pathlib import Path

import click

from freellmapi.cli.commands import Command
from freellmapi.cli.session import Failed, Session
from freellmapi.command import GUNICORN, compile_first, compiled_elsewhere
from freellmapi.core.errors import SettingsError
from freellmapi.port import check_port
from freellmapi.preflight import preflight
from freellmapi.settings import Settings, checkout_root

NEXT = """
FreeLLMAPI is about to listen on {url}  (API: {url}/v1)

  your key for it     {command} token show
  add a free key      {command} keys add groq
  a first request     curl {url}/v1/chat/completions \\
      -H "Authorization: Bearer $({command} token show)" \\
      -H "Content-Type: application/json" \\
      -d '{{"model": "auto", "messages": [{{"role": "user", "content": "Hello"}}]}}'

Stop it with Ctrl-C.
"""


@click.command(cls=Command)
@click.option(
    "--write-key",
    is_flag=True,
    help="Make an ENCRYPTION_KEY and keep it in .env when there is none.",
)
@click.pass_obj
def serve(session: Session, write_key: bool) -> None:
    """Serve until stopped; HOST and PORT come from the environment or .env."""
    if write_key and session.settings.encryption_key is None:
        write_encryption_key(session.settings, dotenv_path())
        del session.settings
    settings = session.settings
    # Under systemd's socket activation the port is taken already, for us.
    if "LISTEN_FDS" not in settings.environ:
        check_port(settings.host, settings.port)
    preflight(settings)
    compiled = compiled_elsewhere(settings.data_dir)
    compile_first(compiled)
    session.show(
        {"url": settings.url, "api": f"{settings.url}/v1"},
        NEXT.format(url=settings.url, command=command_name()),
    )
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *compiled, *GUNICORN, str(gunicorn_config())])


def dotenv_path() -> Path:
    """The ``.env`` that settings are read from: the checkout's, else the current folder's."""
    return (checkout_root() or Path.cwd()) / ".env"


def write_encryption_key(settings: Settings, path: Path) -> None:
    """Appends a fresh key to ``path``, readable by its owner alone."""
    if "ENCRYPTION_KEY" in settings.environ and not _is_blank_in(path):
        raise SettingsError(
            "ENCRYPTION_KEY is set but empty in the environment, which outweighs .env; unset it."
        )
    try:
        text = path.read_text("utf-8") if path.exists() else ""
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a") as file:
            os.fchmod(file.fileno(), 0o600)
            gap = "\n" if text and not text.endswith("\n") else ""
            file.write(f"{gap}ENCRYPTION_KEY={secrets.token_hex(32)}\n")
    except OSError as exc:
        raise SettingsError(
            f"{path} cannot be written ({exc.strerror}); set ENCRYPTION_KEY yourself."
        ) from exc
    click.echo(f"Wrote a fresh ENCRYPTION_KEY into {path}. Keep a copy: it opens your keys.")


def _is_blank_in(path: Path) -> bool:
    """Whether the blank value comes from the file itself; a later line of it then wins."""
    return path.exists() and any(
        line.partition("=")[0].removeprefix("export ").strip() == "ENCRYPTION_KEY"
        for line in path.read_text("utf-8").splitlines()
    )


def gunicorn_config() -> Path:
    """The configuration of this checkout, or the one packed into the wheel."""
    root = checkout_root()
    packed = Path(str(files("freellmapi"))) / "_assets" / "gunicorn.conf.py"
    found = root / "deploy" / "gunicorn.conf.py" if root else packed
    if not found.is_file():
        raise Failed(f"{found} is missing; install FreeLLMAPI again.")
    return found


def command_name() -> str:
    """How the user can call this command from where they are."""
    called = Path(sys.argv[0])
    if shutil.which("freellmapi") == str(called.absolute()) or not called.exists():
        return "freellmapi"
    here = called.absolute()
    return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else str(here)
