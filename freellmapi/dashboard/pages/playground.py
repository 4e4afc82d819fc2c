"""The page Playground at ``/playground``, and its script's ``/api/playground``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flask import Blueprint, Response, g, request
from flask.typing import ResponseReturnValue

from freellmapi.api.blueprint import chat_completions
from freellmapi.core.catalog import Model
from freellmapi.core.values import dataclass
from freellmapi.dashboard import guard
from freellmapi.dashboard.rendering import rendered
from freellmapi.router.gateway import Gateway
from freellmapi.router.record import Caller
from freellmapi.router.resolve import AUTO
from freellmapi.router.settings import STRATEGIES
from freellmapi.services import services

bp = Blueprint("playground", __name__)


@dataclass(frozen=True, slots=True)
class Choice:
    """One name that can be asked for."""

    id: str
    label: str
    detail: str
    """Who serves it."""
    marks: tuple[str, ...]
    why_not: str | None
    """Why it could not answer right now."""


@dataclass(frozen=True, slots=True)
class PlaygroundPage:
    choices: tuple[Choice, ...]
    strategies: tuple[str, ...]
    strategy: str
    """The one that is set, which holds unless the page asks for another."""
    has_keys: bool
    folded: bool
    """Whether the options were folded away when the page was seen last."""


@bp.get("/playground")
def page() -> ResponseReturnValue:
    folded = request.cookies.get("playground_options") == "folded"
    return rendered("dashboard/playground.html", page=_page(services().gateway, folded=folded))


@bp.post("/api/playground/chat")
def chat() -> Response:
    """As ``POST /v1/chat/completions``, for who is logged in: no token reaches the script."""
    if guard.account() is not None:
        g.caller = Caller(g.request_id)
    return chat_completions()


def _page(gateway: Gateway, *, folded: bool) -> PlaygroundPage:
    snapshot = gateway.configuration.snapshot
    return PlaygroundPage(
        choices=tuple(_choices(gateway)),
        strategies=STRATEGIES,
        strategy=snapshot.settings.strategy,
        has_keys=any(snapshot.candidates.get(model.ref) for model in snapshot.auto),
        folded=folded,
    )


def _choices(gateway: Gateway) -> Iterator[Choice]:
    """``auto``, then models with several providers, then each model; usable ones first."""
    snapshot = gateway.configuration.snapshot
    catalog = snapshot.catalog
    yield _choice(AUTO, "auto", "the whole chain", snapshot.auto, gateway)
    families = [
        _choice(name, name, f"{len(members)} providers", members, gateway)
        for name, members in catalog.families.items()
        if name not in catalog.by_ref and len(members) > 1
    ]
    single = [
        _choice(m.ref, m.id, catalog.providers[m.provider].name, (m,), gateway)
        for m in (entry.model for entry in snapshot.chain)
    ]
    yield from sorted([*families, *single], key=lambda choice: choice.why_not is not None)


def _choice(id: str, label: str, detail: str, members: Sequence[Model], gateway: Gateway) -> Choice:
    marks = [
        word
        for word, has in (
            ("tools", any(m.tools for m in members)),
            ("vision", any(m.vision for m in members)),
            ("reasoning", any(m.reasoning for m in members)),
        )
        if has and id != AUTO
    ]
    return Choice(id, label, detail, tuple(marks), gateway.unavailable(members))
