"""``freellmapi keys``: the provider keys, stored and from the environment."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import closing

import click

from freellmapi.cli.commands import Group
from freellmapi.cli.session import Failed, Refused, Session, table
from freellmapi.core.catalog import Provider
from freellmapi.core.values import dataclass
from freellmapi.providers.key_format import misfit
from freellmapi.providers.probe import ERROR, INVALID, Prober, Verdict
from freellmapi.storage.keys import DuplicateKey, StoredKey
from freellmapi.storage.vault import mask


@click.group(cls=Group)
def keys() -> None:
    """The keys of the providers."""


@keys.command()
@click.argument("provider")
@click.option("--label", default="", help="A name of your own for it.")
@click.option("--from-env", metavar="NAME", help="Read the key from this variable.")
@click.option("--key-stdin", is_flag=True, help="Read it from standard input, even a terminal.")
@click.option("--force", is_flag=True, help="Store it though it does not look like one.")
@click.pass_obj
def add(
    session: Session, provider: str, label: str, from_env: str | None, key_stdin: bool, force: bool
) -> None:
    """Store a key of PROVIDER, asked for unseen or read from standard input.

    It is never an argument, where every user of the machine could read it.
    """
    wanted = session.provider(provider)
    secret = _secret(session, wanted, from_env, key_stdin)
    overridden = session.settings.base_url(wanted.id) is not None
    problem = None if overridden else misfit(secret, wanted, session.catalog.providers.values())
    if problem and not force:
        raise Refused(f"{problem} Add --force if it is right all the same.")
    try:
        key = session.keys.add(wanted.id, secret, label)
    except DuplicateKey as exc:
        raise Failed(str(exc)) from exc
    session.show(_as_json(key), f"Stored key {key.id} for {wanted.name}: {key.mask}")


@keys.command(name="list")
@click.pass_obj
def list_keys(session: Session) -> None:
    """List the keys, masked; those of the environment too."""
    stored = session.keys.all()
    from_env = tuple(_of_environment(session))
    rows = [
        *((str(k.id), k.provider, k.mask, _state(k), k.label) for k in stored),
        *(("-", k.provider, k.mask, "environment", k.variable) for k in from_env),
    ]
    shown = [
        *({**_as_json(k), "source": "database"} for k in stored),
        *(
            {"provider": k.provider, "key": k.mask, "source": "environment", "from": k.variable}
            for k in from_env
        ),
    ]
    empty = "There are no keys yet. Add one with: freellmapi keys add groq"
    heading = ("ID", "PROVIDER", "KEY", "STATUS", "LABEL")
    session.show(shown, table([heading, *rows]) if rows else empty)


@keys.command()
@click.argument("id", type=int)
@click.pass_obj
def remove(session: Session, id: int) -> None:
    """Forget the key ID."""
    _must_exist(session.keys.remove(id), id)
    session.show({"id": id, "removed": True}, f"Removed key {id}.")


@keys.command()
@click.argument("id", type=int)
@click.pass_obj
def enable(session: Session, id: int) -> None:
    """Use the key ID again."""
    _must_exist(session.keys.set_enabled(id, True), id)
    session.show({"id": id, "enabled": True}, f"Key {id} is enabled.")


@keys.command()
@click.argument("id", type=int)
@click.pass_obj
def disable(session: Session, id: int) -> None:
    """Keep the key ID, but do not use it."""
    _must_exist(session.keys.set_enabled(id, False), id)
    session.show({"id": id, "enabled": False}, f"Key {id} is disabled.")


@keys.command()
@click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
@click.pass_obj
def check(session: Session, ids: tuple[int, ...]) -> None:
    """Ask the providers whether the stored keys (all, or those of ID) are good.

    Exit code 1 when one is not, or cannot be checked.
    """
    stored = {key.id: key for key in session.keys.all()}
    for id in ids:
        _must_exist(id in stored, id)
    with closing(Prober(session.clock, session.services.proxies)) as prober:
        verdicts = [(key, _checked(session, prober, key)) for key in _chosen(stored, ids)]
    rows = [(k.id, k.provider, k.mask, v.status, v.reason) for k, v in verdicts]
    heading = ("ID", "PROVIDER", "KEY", "STATUS", "REASON")
    session.show(
        [{**_as_json(k), "status": v.status, "reason": v.reason} for k, v in verdicts],
        table([heading, *rows]) if rows else "There are no keys to check.",
    )
    if any(verdict.status in (INVALID, ERROR) for _, verdict in verdicts):
        click.get_current_context().exit(1)


@dataclass(frozen=True, slots=True)
class _EnvironmentKey:
    provider: str
    mask: str
    variable: str


def _chosen(stored: Mapping[int, StoredKey], ids: tuple[int, ...]) -> list[StoredKey]:
    return [stored[id] for id in ids] or [key for key in stored.values() if key.enabled]


def _checked(session: Session, prober: Prober, key: StoredKey) -> Verdict:
    """The verdict, also noted in the database for a running server to take over."""
    provider = session.catalog.providers.get(key.provider)
    if provider is None:
        return Verdict(ERROR, f"there is no provider {key.provider} any more")
    verdict = prober.probe(provider, session.keys.secret(key))
    session.keys.set_status(key.id, verdict.status, verdict.reason)
    return verdict


def _secret(session: Session, provider: Provider, from_env: str | None, key_stdin: bool) -> str:
    if from_env:
        secret = session.settings.provider_key(from_env) or ""
        missing = f"The variable {from_env} is not set, or empty."
    elif key_stdin or not sys.stdin.isatty():
        secret = sys.stdin.readline().strip()
        missing = (
            "No key came on standard input. Pipe it in, or name its variable: "
            f"freellmapi keys add {provider.id} --from-env NAME"
        )
    else:
        if provider.key_url:
            click.echo(f"Get a key at {provider.key_url}", err=True)
        secret = click.prompt(f"Key of {provider.name}", hide_input=True, err=True).strip()
        missing = "No key was given."
    if not secret:
        raise Refused(missing)
    return secret


def _of_environment(session: Session) -> Iterator[_EnvironmentKey]:
    environ = session.settings.environ
    for provider in session.catalog.providers.values():
        key = provider.env_key(environ)
        if key is not None:
            variable = next(name for name in provider.env_vars if environ.get(name, "").strip())
            yield _EnvironmentKey(provider.id, mask(key), variable)


def _must_exist(found: bool, id: int) -> None:
    if not found:
        raise Failed(f"There is no key {id}. List them with: freellmapi keys list")


def _state(key: StoredKey) -> str:
    state = key.status if key.enabled else "disabled"
    return f"{state}: {key.status_reason}" if key.status_reason else state


def _as_json(key: StoredKey) -> dict[str, object]:
    return {
        "id": key.id,
        "provider": key.provider,
        "label": key.label,
        "key": key.mask,
        "status": key.status,
        "reason": key.status_reason,
        "enabled": key.enabled,
    }
