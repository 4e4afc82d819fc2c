"""``freellmapi models list --refresh``: the providers' own lists against the catalog."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import field
from typing import Any

import click

from freellmapi.cli.session import Refused, Session, table
from freellmapi.core.catalog import Provider
from freellmapi.core.values import dataclass
from freellmapi.providers.changes import Changes, compare, taken_over
from freellmapi.providers.discover import Discoverer, DiscoveryError
from freellmapi.router.snapshot import Snapshot

AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class _Asked:
    """One provider's answer: changes, or why there are none to see."""

    provider: Provider
    changes: Changes = field(default_factory=Changes)
    problem: str = ""


def refresh(session: Session, providers: Sequence[str], take_over: bool) -> None:
    """Ask ``providers`` (all that can be asked when none is named) and show what changed.

    Exit code 1 when one could not be asked; what the others said counts all the same.
    """
    snapshot = session.snapshot
    wanted = [session.provider(name) for name in providers] or list(_usable(snapshot))
    if not wanted:
        raise Refused("There is no provider to ask. Add a key with: freellmapi keys add groq")
    asked = _ask(session, snapshot, wanted)
    if take_over:
        for answer in asked:
            if answer.changes:
                _take_over(session, answer)
    session.show(
        [
            {**_as_json(answer), "taken_over": take_over and bool(answer.changes)}
            for answer in asked
        ],
        "\n".join(_report(asked, take_over)),
    )
    if any(answer.problem for answer in asked):
        click.get_current_context().exit(1)


def _usable(snapshot: Snapshot) -> Iterator[Provider]:
    for provider in snapshot.catalog.providers.values():
        keys = snapshot.keys.get(provider.id, ())
        if provider.base_url and provider.models_path and any(key.usable for key in keys):
            yield provider


def _ask(session: Session, snapshot: Snapshot, wanted: Sequence[Provider]) -> list[_Asked]:
    configuration = session.services.configuration
    keys = [_key(snapshot, provider) for provider in wanted]
    secrets = [
        configuration.secret(provider.id, key) if key else None
        for provider, key in zip(wanted, keys, strict=True)
    ]
    with closing(Discoverer(session.clock, session.services.proxies)) as discoverer:

        def one(provider: Provider, secret: str | None) -> _Asked:
            try:
                listed = discoverer.models(provider, secret)
            except DiscoveryError as exc:
                return _Asked(provider, problem=str(exc))
            models = [m for m in snapshot.catalog.models if m.provider == provider.id]
            return _Asked(provider, compare(provider, models, listed))

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(one, wanted, secrets))


def _key(snapshot: Snapshot, provider: Provider) -> str | None:
    return next((key.id for key in snapshot.keys.get(provider.id, ()) if key.usable), None)


def _take_over(session: Session, answer: _Asked) -> None:
    config, provider = session.services.config, answer.provider
    before = config.discovered().get(provider.id, {})
    config.put_discovered(provider.id, taken_over(before, provider, answer.changes, session.today))


def _report(asked: Sequence[_Asked], took_over: bool) -> Iterator[str]:
    rows = [(a.provider.id, *row) for a in asked for row in _rows(a.changes)]
    if rows:
        yield table([("PROVIDER", "", "MODEL", ""), *rows])
    same = [a.provider.id for a in asked if not a.changes and not a.problem]
    if same:
        yield f"As the catalog has it: {', '.join(same)}."
    for answer in asked:
        if answer.problem:
            yield f"{answer.provider.id} could not be asked: {answer.problem}"
    if rows and took_over:
        yield (
            "Taken over. Models that are gone are not asked any more; new ones of built-in "
            "providers wait for: freellmapi models enable MODEL"
        )
    elif rows:
        yield "Nothing was changed. Take it over with: --take-over"


def _rows(changes: Changes) -> Iterator[tuple[str, str, str]]:
    for model in changes.new:
        facts = [f"context {model.context:,}"] if model.context else []
        facts += [name for name in ("tools", "vision") if getattr(model, name)]
        yield "new", model.id, ", ".join(facts)
    for name in changes.gone:
        yield "gone", name, ""
    for name in changes.back:
        yield "back", name, ""
    for changed in changes.changed:
        pairs = [f"{n} {_shown(old)} -> {_shown(new)}" for n, (old, new) in changed.fields.items()]
        yield "changed", changed.id, ", ".join(pairs)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else "?"


def _as_json(answer: _Asked) -> dict[str, Any]:
    changes = answer.changes
    return {
        "provider": answer.provider.id,
        "problem": answer.problem or None,
        "new": [
            {
                "id": m.id,
                "context": m.context,
                "max_output": m.max_output,
                "tools": m.tools,
                "vision": m.vision,
            }
            for m in changes.new
        ],
        "gone": list(changes.gone),
        "back": list(changes.back),
        "changed": [
            {"id": c.id, **{n: {"catalog": old, "list": new} for n, (old, new) in c.fields.items()}}
            for c in changes.changed
        ],
    }
