"""The metrics that ``GET /metrics`` gives: names, labels, and what they mean.

Every label has few values: statuses, kinds of errors, providers. Nothing is labelled with a
request, a client, a key, or a model that a client named.
"""

from __future__ import annotations

from collections.abc import Mapping

from freellmapi.core.values import dataclass
from freellmapi.router.traffic import DURATIONS, FIRST_TOKENS
from freellmapi.router.watchdog import LAGS


@dataclass(frozen=True, slots=True)
class Metric:
    """One name. Counters are shown with ``_total`` at the end."""

    name: str
    kind: str
    says: str
    labels: tuple[str, ...] = ()


def _named(*metrics: Metric) -> Mapping[str, Metric]:
    return {metric.name: metric for metric in metrics}


METRICS = _named(
    Metric("freellmapi_info", "gauge", "Always 1; which version this is.", ("version",)),
    Metric("freellmapi_ready", "gauge", "1 while a request to auto would find a candidate."),
    Metric("freellmapi_workers", "gauge", "Workers of this server that are alive."),
    Metric("freellmapi_config_version", "gauge", "Version of the configuration in force."),
    # Requests.
    Metric("freellmapi_http_answers", "counter", "Answers of /v1, refusals included.", ("status",)),
    Metric(
        "freellmapi_requests",
        "counter",
        "Chat requests that are over, by what the client got; error is empty for an answer.",
        ("status", "error", "stream"),
    ),
    Metric("freellmapi_fallbacks", "counter", "Requests for which one candidate was not enough."),
    Metric(
        "freellmapi_attempts",
        "counter",
        "Calls to providers, by what became of them.",
        ("provider", "kind"),
    ),
    Metric(
        "freellmapi_tokens", "counter", "Tokens sent to and got from providers.", ("provider", "of")
    ),
    Metric(
        "freellmapi_request_duration_seconds",
        "histogram",
        "From a request's arrival to the end of its answer.",
        ("provider", "stream"),
    ),
    Metric(
        "freellmapi_first_token_seconds",
        "histogram",
        "From a streamed request's arrival to its first token.",
        ("provider",),
    ),
    Metric("freellmapi_requests_under_way", "gauge", "Requests that are being served."),
    Metric("freellmapi_requests_waiting", "gauge", "Those of them that wait for a slot."),
    Metric("freellmapi_streams_open", "gauge", "Those of them that stream to their client."),
    Metric("freellmapi_reservations_open", "gauge", "Calls whose headroom is held or booked."),
    # Limits.
    Metric(
        "freellmapi_quota_cap",
        "gauge",
        "Stated caps: the sum over a provider's keys, and over its enabled models for scope=model.",
        ("provider", "scope", "window"),
    ),
    Metric(
        "freellmapi_quota_left",
        "gauge",
        "What is left of freellmapi_quota_cap.",
        ("provider", "scope", "window"),
    ),
    Metric(
        "freellmapi_quota_left_today",
        "gauge",
        "Left of day caps and the day's share of month caps, all keys.",
        ("of",),
    ),
    Metric("freellmapi_quota_used_today", "gauge", "Used today, all keys.", ("of",)),
    Metric(
        "freellmapi_benches",
        "gauge",
        "Benches in force, by what they keep out and why.",
        ("provider", "scope", "kind"),
    ),
    # The parts behind.
    Metric("freellmapi_log_waiting", "gauge", "Rows of the request log that wait to be written."),
    Metric(
        "freellmapi_log_kept", "gauge", "Rows that the database refused and that wait in memory."
    ),
    Metric("freellmapi_log_transactions", "counter", "Transactions of the request log."),
    Metric("freellmapi_log_failures", "counter", "Rows of the request log that were lost."),
    Metric("freellmapi_hub_lag_seconds", "histogram", "How late a timer of the event loop came."),
    Metric("freellmapi_hub_lag_worst_seconds", "gauge", "The worst of the last minute or two."),
    Metric(
        "freellmapi_hub_held_worst_seconds",
        "gauge",
        "The same without the time in which other programs had the processors.",
    ),
    Metric("freellmapi_leads", "gauge", "1 where the background jobs of all processes run."),
    Metric("freellmapi_shared", "gauge", "1 for how the workers count.", ("state",)),
    Metric("freellmapi_shared_workers", "gauge", "Workers that count together, on all machines."),
    # The processes.
    Metric("process_cpu_seconds", "counter", "Of all workers of this server."),
    Metric("process_resident_memory_bytes", "gauge", "Of all workers; shared pages count twice."),
    Metric("process_open_fds", "gauge", "Open files of all workers."),
    Metric("process_max_fds", "gauge", "How many they might have open."),
)

BOUNDS: Mapping[str, tuple[float, ...]] = {
    "freellmapi_request_duration_seconds": DURATIONS,
    "freellmapi_first_token_seconds": FIRST_TOKENS,
    "freellmapi_hub_lag_seconds": LAGS,
}
