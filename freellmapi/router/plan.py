"""Which candidates may serve a request, in what order: decided before any I/O."""

from __future__ import annotations

from freellmapi.core.chat import ChatRequest
from freellmapi.core.estimate import reserved_output
from freellmapi.core.route import RoutePlan
from freellmapi.router.judge import Judge, Picture
from freellmapi.router.resolve import Wanted


def roughly(chat: ChatRequest) -> int:
    """What a call costs before anything is known of the model."""
    return chat.prompt_tokens + reserved_output(chat.max_tokens)


def plan(chat: ChatRequest, wanted: Wanted, picture: Picture) -> RoutePlan:
    """Candidates best first, found lazily: each is judged when it is asked for.

    Models known to be closed are passed by; who was left out of them is found out when
    ``skipped`` is read. When nothing but our own benches is in the way, the candidate
    whose bench ends first is tried all the same.
    """
    judge = Judge(chat, wanted.models, picture)
    return RoutePlan(judge.candidates(), judge.skipped, judge.look_at_passed, judge.at_caps)
