"""What each setting of the router is called and does, in the order of the page."""

from __future__ import annotations

from freellmapi.core.values import dataclass
from freellmapi.router.settings import RECOVERIES, STRATEGIES

SECONDS = "From 0 to 1,000,000 seconds."
SOME_SECONDS = "More than 0, at most 1,000,000 seconds."


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    label: str
    meaning: str
    unit: str = ""
    range: str = ""


FIELDS = (
    Field(
        "strategy",
        "Strategy",
        "In which order models are asked: your chain's, or one scored from live measurements.",
    ),
    Field(
        "max_wait",
        "Wait for room",
        "How long a request may wait for a limit to open before it is refused.",
        "s",
        SECONDS,
    ),
    Field(
        "patience",
        "Patience with a named model",
        "How long a named or sticky model is waited for before another is asked.",
        "s",
        SECONDS,
    ),
    Field(
        "sticky_ttl",
        "Keep to a model",
        "How long a session stays with the model that answered it last.",
        "s",
        SECONDS,
    ),
    Field(
        "max_attempts",
        "Most attempts",
        "How many calls one request may cost before it fails.",
        "",
        "A whole number from 1 to 100.",
    ),
    Field(
        "attempt_budget",
        "Time for all attempts",
        "All attempts of a request together, before the first byte of an answer.",
        "s",
        SOME_SECONDS,
    ),
    Field(
        "connect_timeout",
        "Connect",
        "How long a connection to a provider may take.",
        "s",
        SOME_SECONDS,
    ),
    Field(
        "first_byte_timeout",
        "First token",
        "How long the first token may take while another model could answer instead.",
        "s",
        SOME_SECONDS,
    ),
    Field(
        "last_first_byte_timeout",
        "First token of the last model",
        "The same when no other model is left.",
        "s",
        SOME_SECONDS,
    ),
    Field(
        "idle_timeout",
        "Silence within a stream",
        "After this long without a word, a stream counts as broken.",
        "s",
        SOME_SECONDS,
    ),
    Field(
        "stream_recovery",
        "When a stream breaks",
        "Another model goes on where the first stopped, or the client is told of the error.",
    ),
    Field(
        "ping_interval",
        "Keep-alive",
        "How often a silent stream sends a comment, so that nothing in between hangs up.",
        "s",
        SOME_SECONDS,
    ),
    Field(
        "probe_interval",
        "Check keys",
        "How often each key is checked in the background; 0 turns it off.",
        "s",
        SECONDS,
    ),
    Field(
        "hedging",
        "Ask a second model when the first is late",
        "Whoever answers first is taken. Costs some requests of your free limits.",
    ),
    Field(
        "hedging_share",
        "At most for this share of requests",
        "How much of a day's requests a second model may be asked for: 0.05 is 5 %.",
        "",
        "A share from 0 to 1.",
    ),
    Field(
        "log_retention_days",
        "Keep the request log",
        "Older requests are deleted within the hour. The sums behind Analytics stay.",
        "days",
        "More than 0, at most 1,000,000 days.",
    ),
)

GROUPS = (
    ("Order", ("strategy", "max_wait", "patience", "sticky_ttl")),
    ("Attempts", ("max_attempts", "attempt_budget", "connect_timeout")),
    (
        "Answers",
        (
            "first_byte_timeout",
            "last_first_byte_timeout",
            "idle_timeout",
            "stream_recovery",
            "ping_interval",
        ),
    ),
    ("In the background", ("probe_interval", "hedging", "hedging_share")),
)
"""Of the section Routing. What is in none has a section of its own."""

_WORDS = {
    "priority": "My chain's order",
    "balanced": "Balanced",
    "fast": "Fastest",
    "smart": "Smartest",
    "reliable": "Most reliable",
    "continue": "Continue with another model",
    "error": "Tell the client",
}
CHOICES = {
    "strategy": tuple((name, _WORDS[name]) for name in STRATEGIES),
    "stream_recovery": tuple((name, _WORDS[name]) for name in RECOVERIES),
}
