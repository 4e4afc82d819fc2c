"""What a model must be able to do for a request."""

from __future__ import annotations

from freellmapi.core.catalog import Model
from freellmapi.core.chat import ChatRequest, Need

MIN_OUTPUT = 16
"""Tokens of room that an answer needs at the least."""


def _lacks(need: Need, model: Model) -> str | None:
    if need is Need.TOOLS:
        return None if model.tools else "cannot call tools"
    if need is Need.TOOL_CHOICE:
        return None if model.tool_choice else "cannot be made to call a tool"
    if need is Need.VISION:
        return None if model.vision else "cannot see images"
    return None if model.json_schema else "cannot keep to a JSON schema"


def unfit(chat: ChatRequest, model: Model, window: int | None) -> str | None:
    """Why a model cannot serve this request whatever its headroom, or None.

    ``window`` is the context window in tokens as far as it is known.
    """
    for need in chat.needs:
        reason = _lacks(need, model)
        if reason is not None:
            return reason
    wanted = chat.prompt_tokens + min(chat.max_tokens or MIN_OUTPUT, model.max_output or 10**9)
    if window is not None and wanted > window:
        return f"context window of {window:,} tokens is too small for about {wanted:,}"
    for cap, per in ((model.limits.tpm, "minute"), (model.limits.tpd, "day")):
        if cap is not None and chat.prompt_tokens > cap:
            return f"allows {cap:,} tokens a {per}, the prompt is about {chat.prompt_tokens:,}"
    return None
