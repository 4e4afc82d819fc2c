"""``freellmapi providers``: endpoints of one's own, each a provider like the built-in ones."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

import click

from freellmapi.cli.commands import Group
from freellmapi.cli.session import Failed, Refused, Session, table
from freellmapi.core.catalog import KeyProbe, Provider
from freellmapi.providers.catalog import (
    NO_KEY,
    STORED_KEY,
    CatalogError,
    load_catalog,
    with_custom,
)
from freellmapi.providers.changes import compare, taken_over
from freellmapi.providers.discover import Discoverer, DiscoveryError, Located
from freellmapi.providers.guard import REFUSED
from freellmapi.providers.probe import HEALTHY, RATE_LIMITED, Prober
from freellmapi.router.snapshot import LiveKey
from freellmapi.storage.keys import DuplicateKey

_CAPS = ("rpm", "rpd", "tpm", "tpd")


@click.group(cls=Group)
def providers() -> None:
    """OpenAI-compatible endpoints of your own: llama.cpp, Ollama, vLLM, LM Studio, a gateway."""


@providers.command()
@click.argument("id")
@click.argument("base_url")
@click.option("--name", help="What people call it.")
@click.option("--key-stdin", is_flag=True, help="It wants a key: read it from standard input.")
@click.option("--model", "models", metavar="ID", multiple=True, help="A model it has (repeatable).")
@click.option("--discover", is_flag=True, help="Ask it for its models beside those of --model.")
@click.option("--rpm", type=click.IntRange(min=1), help="Requests a minute it may be sent.")
@click.option("--rpd", type=click.IntRange(min=1), help="Requests a day.")
@click.option("--tpm", type=click.IntRange(min=1), help="Tokens a minute.")
@click.option("--tpd", type=click.IntRange(min=1), help="Tokens a day.")
@click.pass_obj
def add(
    session: Session,
    /,
    id: str,
    base_url: str,
    name: str | None,
    key_stdin: bool,
    models: tuple[str, ...],
    discover: bool,
    **caps: int | None,
) -> None:
    """Add the endpoint at BASE_URL as provider ID.

    Without --model it is asked which models it has, and all of them take part in 'auto'. A
    missing /v1 is added when the endpoint answers there.
    """
    _must_be_free(session, id)
    key = _key(name or id) if key_stdin else None
    definition: dict[str, Any] = {"base_url": base_url, "key": STORED_KEY if key else NO_KEY}
    definition |= {"name": name} if name else {}
    definition |= {"models": [{"id": model} for model in models]} if models else {}
    limits = {cap: value for cap in _CAPS if (value := caps[cap]) is not None}
    definition |= {"limits": limits} if limits else {}
    provider = _defined(session, id, definition)
    with closing(Discoverer(session.clock, session.services.proxies)) as discoverer:
        found = discoverer.locate(provider, key)
    if found.problem == REFUSED:
        raise Refused(f"{provider.base_url}: {REFUSED}.")
    if not found.listed and (discover or not models):
        raise Failed(
            f"{found.base_url} gives no list of models: {found.problem}. Nothing was stored. If "
            "it is not running yet, or has no such list, name its models with --model."
        )
    definition["base_url"] = found.base_url
    _store(session, id, definition, key, found if discover or not models else None)
    _show_added(session, id, found)


@providers.command(name="list")
@click.option("--all", "everything", is_flag=True, help="The built-in providers too.")
@click.pass_obj
def list_providers(session: Session, everything: bool) -> None:
    """List the endpoints of your own."""
    shown = [
        _as_json(session, provider)
        for provider in session.catalog.providers.values()
        if everything or provider.status == "user"
    ]
    rows = [(p["id"], p["base_url"], p["keys"], p["models"], p["source"]) for p in shown]
    empty = "There are none yet. Add one with: freellmapi providers add lab http://127.0.0.1:8000"
    heading = ("ID", "BASE URL", "KEYS", "MODELS", "FROM")
    session.show(shown, table([heading, *rows]) if rows else empty)


@providers.command()
@click.argument("id")
@click.pass_obj
def remove(session: Session, id: str) -> None:
    """Forget the endpoint ID, and its keys."""
    config = session.services.config
    if not config.delete_custom_provider(id):
        provider = session.provider(id)
        if provider.status == "user":
            raise Refused(f"{id} stands in the configuration file; take it out there.")
        raise Refused(f"{provider.name} is built in; remove its keys with: freellmapi keys remove")
    config.delete_discovered(id)
    gone = [key.id for key in session.keys.all() if key.provider == id]
    for key_id in gone:
        session.keys.remove(key_id)
    session.show({"id": id, "removed": True, "keys": gone}, f"Removed {id}.")


@providers.command()
@click.argument("id")
@click.option("--model", help="Ask this model for one token, too.")
@click.pass_obj
def test(session: Session, id: str, model: str | None) -> None:
    """Ask provider ID whether it answers, and which models it has.

    Exit code 1 when it does not.
    """
    provider = session.provider(id)
    key = _usable_key(session, provider)
    secret = session.services.configuration.secret(provider.id, key.id) if key else None
    with closing(Prober(session.clock, session.services.proxies)) as prober:
        verdict = prober.probe(provider, secret)
        if model and verdict.status in (HEALTHY, RATE_LIMITED):
            one_token = KeyProbe(provider.chat_path, "POST", model, valid=frozenset({200}))
            verdict = prober.probe(replace(provider, probe=one_token), secret)
    listed, problem = _listed(session, provider, secret)
    models = "no list of models" if problem else _models(len(listed))
    reason = f" ({verdict.reason})" if verdict.reason else ""
    session.show(
        {
            "id": provider.id,
            "base_url": provider.base_url,
            "status": verdict.status,
            "reason": verdict.reason,
            "models": listed,
        },
        f"{provider.id} at {provider.base_url}: {verdict.status}{reason}, {models}",
    )
    if verdict.status not in (HEALTHY, RATE_LIMITED):
        click.get_current_context().exit(1)


def _must_be_free(session: Session, id: str) -> None:
    if id in load_catalog().providers:
        variable = f"FREELLMAPI_{id.upper().replace('-', '_')}_BASE_URL"
        raise Refused(f"{id} is built in. Choose another id, or move it with {variable}.")
    if id in session.catalog.providers:
        raise Refused(f"There is a provider {id} already; see: freellmapi providers list")


def _key(name: str) -> str:
    if sys.stdin.isatty():
        key = str(click.prompt(f"Key of {name}", hide_input=True, err=True))
    else:
        key = sys.stdin.readline()
    if not key.strip():
        raise Refused("No key came on standard input.")
    return key.strip()


def _defined(session: Session, id: str, definition: Mapping[str, Any]) -> Provider:
    """The provider that a definition makes; wrong usage, with the reason, when it makes none."""
    try:
        return with_custom(session.catalog, {id: definition}).providers[id]
    except CatalogError as exc:
        raise Refused(f"{exc}.") from exc


def _store(
    session: Session, id: str, definition: Mapping[str, Any], key: str | None, found: Located | None
) -> None:
    provider = _defined(session, id, definition)
    config = session.services.config
    if key is not None:
        try:
            session.keys.add(id, key)
        except DuplicateKey:
            session.keys.set_enabled(_existing(session, id, key), True)
    config.put_custom_provider(id, definition)
    config.delete_discovered(id)
    if found is not None:
        models = with_custom(session.catalog, {id: definition}).models
        own = [model for model in models if model.provider == id]
        changes = compare(provider, own, found.listed)
        config.put_discovered(id, taken_over({}, provider, changes, session.today))


def _existing(session: Session, id: str, key: str) -> int:
    found = session.keys.find(id, key)
    assert found is not None
    return found.id


def _show_added(session: Session, id: str, found: Located) -> None:
    models = [m.id for m in session.catalog.models if m.provider == id]
    lines = [f"Added {id} at {found.base_url} with {_models(len(models))}: {', '.join(models)}"]
    if found.note:
        lines.append(f"Note: {found.note}")
    if found.problem:
        lines.append(f"Note: it gave no list of models ({found.problem}).")
    session.show(
        {
            "id": id,
            "base_url": found.base_url,
            "note": found.note,
            "problem": found.problem,
            "models": models,
        },
        "\n".join(lines),
    )


def _models(count: int) -> str:
    return "1 model" if count == 1 else f"{count} models"


def _usable_key(session: Session, provider: Provider) -> LiveKey | None:
    keys = session.snapshot.keys.get(provider.id, ())
    return next((key for key in keys if key.usable), None)


def _listed(session: Session, provider: Provider, key: str | None) -> tuple[list[str], str]:
    with closing(Discoverer(session.clock, session.services.proxies)) as discoverer:
        try:
            return [model.id for model in discoverer.models(provider, key)], ""
        except DiscoveryError as exc:
            return [], str(exc)


def _as_json(session: Session, provider: Provider) -> dict[str, Any]:
    keys = session.snapshot.keys.get(provider.id, ())
    built_in = "file" if provider.status == "user" else "built in"
    source = "database" if provider.id in session.services.config.custom_providers() else built_in
    return {
        "id": provider.id,
        "name": provider.name,
        "base_url": provider.base_url,
        "keys": ", ".join(key.label for key in keys) or "none",
        "models": sum(model.provider == provider.id for model in session.catalog.models),
        "source": source,
    }
