"""What a model must be able to do for a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from freellmapi.core.catalog import Model
from freellmapi.core.chat import ChatRequest, Need
from freellmapi.core.values import dataclass

MIN_OUTPUT = 16
"""Tokens of room that an answer needs at the least."""
NO_END = float("inf")


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


@dataclass(frozen=True, slots=True)
class Narrowest:
    """What each of some models can do."""

    needs: frozenset[Need]
    window: float
    prompt: float

    @classmethod
    def of(cls, models: Iterable[Model]) -> Narrowest:
        models = tuple(models)
        caps = [cap for m in models for cap in (m.limits.tpm, m.limits.tpd) if cap is not None]
        return cls(
            frozenset(need for need in Need if all(_lacks(need, m) is None for m in models)),
            min((m.context for m in models if m.context is not None), default=NO_END),
            min(caps, default=NO_END),
        )

    def suits(self, chat: ChatRequest, windows: Mapping[str, int]) -> bool:
        """Whether none of the models is ``unfit``; False also when that is not certain."""
        wanted = chat.prompt_tokens + (chat.max_tokens or MIN_OUTPUT)
        return (
            chat.needs <= self.needs
            and chat.prompt_tokens <= self.prompt
            and wanted <= self.window
            and wanted <= min(windows.values(), default=NO_END)
        )
