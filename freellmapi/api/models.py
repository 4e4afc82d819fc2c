"""``GET /v1/models``: what can be asked for, and whether it would be served now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from freellmapi.api.render import Reply, whole
from freellmapi.core.catalog import Model
from freellmapi.core.errors import GatewayError
from freellmapi.router.gateway import Gateway
from freellmapi.router.resolve import AUTO
from freellmapi.router.settings import STRATEGIES
from freellmapi.services import Services

OWNER = "freellmapi"
CREATED = 1_767_225_600
"""2026-01-01: OpenAI's shape wants a time, and the catalog states none."""

_PARAMETERS = (
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "stop",
    "stream",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "response_format",
)
_TOOL_PARAMETERS = ("tools", "tool_choice", "parallel_tool_calls")


def list_models(parts: Services) -> Reply:
    """``auto`` first, then families, then each model under its provider's name."""
    return whole({"object": "list", "data": list(_entries(parts.gateway))})


def one_model(parts: Services, name: str) -> Reply:
    gateway = parts.gateway
    members = _members(name, gateway)
    if not members:
        raise GatewayError(
            404,
            f"The model {name[:200]!r} does not exist here. GET /v1/models lists what there is.",
            code="model_not_found",
            param="model",
        )
    return whole(_entry(name, members, gateway))


def _entries(gateway: Gateway) -> Iterator[dict[str, Any]]:
    snapshot = gateway.configuration.snapshot
    yield _entry(AUTO, snapshot.auto, gateway)
    for family, members in snapshot.catalog.families.items():
        if family not in snapshot.catalog.by_ref:
            yield _entry(family, members, gateway)
    for entry in snapshot.chain:
        yield _entry(entry.model.ref, (entry.model,), gateway)


def _members(name: str, gateway: Gateway) -> Sequence[Model]:
    snapshot = gateway.configuration.snapshot
    head, _, strategy = name.partition(":")
    if head == AUTO and (not strategy or strategy in STRATEGIES):
        return snapshot.auto
    exact = snapshot.catalog.by_ref.get(name)
    if exact is not None:
        return (exact,)
    return snapshot.catalog.families.get(name) or snapshot.catalog.by_id.get(name, ())


def _entry(name: str, members: Sequence[Model], gateway: Gateway) -> dict[str, Any]:
    reason = gateway.unavailable(members)
    tools = any(m.tools for m in members)
    reasoning = any(m.reasoning for m in members)
    parameters = [*_PARAMETERS, *(_TOOL_PARAMETERS if tools else ())]
    if reasoning:
        parameters.append("reasoning_effort")
    return {
        "id": name,
        "object": "model",
        "created": CREATED,
        "owned_by": members[0].provider if len(members) == 1 and "/" in name else OWNER,
        "context_length": max((m.context for m in members if m.context), default=None),
        "max_output_tokens": max((m.max_output for m in members if m.max_output), default=None),
        "supported_parameters": parameters,
        "capabilities": {
            "tools": tools,
            "vision": any(m.vision for m in members),
            "reasoning": reasoning,
            "json_schema": any(m.json_schema for m in members),
        },
        "available": reason is None,
        "unavailable_reason": reason,
    }
