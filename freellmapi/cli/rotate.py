"""``freellmapi rotate-encryption-key``: everything sealed anew, with the server running."""

from __future__ import annotations

import os
import re
import secrets
import sys
from pathlib import Path

import click

from freellmapi.cli.commands import Command
from freellmapi.cli.serve import dotenv_path
from freellmapi.cli.session import Failed, Refused, Session
from freellmapi.core.errors import SettingsError
from freellmapi.storage.rotation import RotationPending, finish, rotate
from freellmapi.storage.vault import parse_key

FOLLOWED_AFTER = 5.0
"""Seconds in which every running server has taken the new key over; they look each second."""
_LINE = re.compile(r"^(\s*(?:export\s+)?ENCRYPTION_KEY\s*=\s*)(.*)$", re.MULTILINE)

HELD_BY_HAND = """\
Set this ENCRYPTION_KEY wherever the old one stands, on every machine; servers that are running
have taken it over already. Then end the old key: freellmapi rotate-encryption-key --finish
{key}"""


@click.command("rotate-encryption-key", cls=Command)
@click.option("--key-stdin", is_flag=True, help="Take the new key from standard input.")
@click.option(
    "--env-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The file that ENCRYPTION_KEY stands in, if it is not .env.",
)
@click.option("--finish", "finishes", is_flag=True, help="End the old key, once the new is set.")
@click.pass_obj
def rotate_key(session: Session, key_stdin: bool, env_file: Path | None, finishes: bool) -> None:
    """Seal everything with a new ENCRYPTION_KEY, in one transaction.

    Running servers take it over within seconds. Where the old key stands in .env, the new one
    is written there; else it is printed, and the old one works until --finish.
    """
    old = parse_key(session.settings.encryption_key)
    vault = session.vault
    if finishes:
        _finish(session)
        return
    new = parse_key(sys.stdin.readline()) if key_stdin else secrets.token_bytes(32)
    if new == old:
        raise Refused("The new key is the old one.")
    file = _holder(env_file or dotenv_path(), old)
    if env_file is not None and file is None:
        raise Refused(f"{env_file} does not hold the ENCRYPTION_KEY that is in use.")
    try:
        done = rotate(session.database, vault, new)
    except RotationPending as exc:
        raise Failed(
            "The last rotation is not finished: freellmapi rotate-encryption-key --finish"
        ) from exc
    written = file is not None and _written(file, new)
    if written:
        # Servers that are running learn the new key from the database, not from the file.
        session.clock.sleep(FOLLOWED_AFTER)
        finish(session.database)
    report = {"keys": done.keys, "tokens": done.tokens, "unreadable": list(done.unreadable)}
    report |= {"env_file": str(file)} if written else {"encryption_key": new.hex()}
    session.show(report, _told(report, file if written else None, new))


def _finish(session: Session) -> None:
    # The vault fits the old key too, as long as it may; the key in the settings must be the new.
    if session.vault.was_rotated:
        raise Refused("ENCRYPTION_KEY is still the old key here; set the new one first.")
    ended = finish(session.database)
    session.show({"finished": ended}, "The old key opens nothing any more.")


def _holder(path: Path, key: bytes) -> Path | None:
    """The file if the key in use stands in it."""
    try:
        found = _LINE.findall(path.read_text("utf-8"))
        return path if found and parse_key(found[-1][1].strip().strip("'\"")) == key else None
    except (OSError, UnicodeDecodeError, SettingsError):
        return None


def _written(path: Path, key: bytes) -> bool:
    """Whether the file has the new key now; whole or not at all, with its mode and owner."""
    part = path.with_name(f".{path.name}.part")
    try:
        text = _LINE.sub(lambda match: match[1] + key.hex(), path.read_text("utf-8"))
        there = path.stat()
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
            os.fchmod(file.fileno(), there.st_mode & 0o777)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), there.st_uid, there.st_gid)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        return True
    except OSError:
        # The key is shown instead; nothing is lost.
        return False


def _told(report: dict[str, object], file: Path | None, key: bytes) -> str:
    lines = [f"{report['keys']} keys and {report['tokens']} tokens are sealed with a new key."]
    if report["unreadable"]:
        lines.append(f"Keys that had not opened before stay so: {report['unreadable']}")
    if file is not None:
        lines.append(f"It stands in {file}. Keep a copy; older backups want the key before it.")
    else:
        lines.append(HELD_BY_HAND.format(key=key.hex()))
    return "\n".join(lines)
