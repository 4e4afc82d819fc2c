"""The numbers behind ``GET /metrics``: this worker's own, and what all workers see alike."""

from __future__ import annotations

from freellmapi import __version__
from freellmapi.core import process
from freellmapi.core.counts import Key, Numbers
from freellmapi.router.cluster import ALONE, RETURNING, TOGETHER
from freellmapi.services import Services


def own(parts: Services) -> Numbers:
    """What adds up among the workers of a server. Quick: it is told every other second."""
    traffic, log = parts.gateway.traffic, parts.request_log
    found = Numbers()
    found.take(traffic.counts)
    lags = parts.watchdog.lags
    found.histograms["freellmapi_hub_lag_seconds",] = [*lags.counts, lags.total]
    found.highest["freellmapi_hub_lag_worst_seconds",] = parts.watchdog.late.value
    found.highest["freellmapi_hub_held_worst_seconds",] = parts.watchdog.held.value
    found.counters["freellmapi_log_transactions",] = log.transactions
    found.counters["freellmapi_log_failures",] = log.failures
    found.counters["process_cpu_seconds",] = process.cpu_seconds()
    found.gauges |= {
        ("freellmapi_requests_under_way",): traffic.under_way,
        ("freellmapi_requests_waiting",): traffic.waiting,
        ("freellmapi_streams_open",): traffic.streams,
        ("freellmapi_reservations_open",): parts.gateway.tools.ledger.under_way,
        ("freellmapi_log_waiting",): log.waiting,
        ("freellmapi_log_kept",): log.kept,
    }
    found.highest["freellmapi_leads",] = float(parts.leadership.held)
    found.gauges |= {(f"process_{name}",): value for name, value in process.taken()}
    return found


def seen(parts: Services) -> dict[Key, float]:
    """What every worker would say alike."""
    snapshot = parts.configuration.snapshot
    found: dict[Key, float] = {
        ("freellmapi_info", __version__): 1,
        ("freellmapi_ready",): float(parts.gateway.unavailable(snapshot.auto) is None),
        ("freellmapi_config_version",): snapshot.version,
    }
    _quota(parts, found)
    _benches(parts, found)
    if parts.cluster is not None:
        for state in (TOGETHER, ALONE, RETURNING):
            found["freellmapi_shared", state] = float(parts.cluster.state == state)
        found["freellmapi_shared_workers",] = len(parts.cluster.workers)
    return found


def _quota(parts: Services, found: dict[Key, float]) -> None:
    quota = parts.gateway.meter.read()
    for provider in quota.providers:
        for account in provider.accounts:
            windows = [("account", window) for window in account.windows]
            live = [model for model in account.models if model.enabled]
            windows += [("model", window) for model in live for window in model.windows]
            for scope, window in windows:
                labels = (provider.provider, scope, window.window)
                _add(found, ("freellmapi_quota_cap", *labels), window.cap)
                _add(found, ("freellmapi_quota_left", *labels), window.left)
    today = quota.today
    found["freellmapi_quota_left_today", "requests"] = today.requests_left
    found["freellmapi_quota_left_today", "tokens"] = today.tokens_left
    found["freellmapi_quota_used_today", "requests"] = today.requests_used
    found["freellmapi_quota_used_today", "tokens"] = today.tokens_used


def _benches(parts: Services, found: dict[Key, float]) -> None:
    now = parts.clock.now()
    for name, entry in parts.gateway.tools.cooldowns.entries().items():
        if entry.until > now:
            # A bench is named "key groq/7", see Candidate.of.
            scope, _, of = name.partition(" ")
            labels = (of.partition("/")[0], scope, entry.kind.value)
            _add(found, ("freellmapi_benches", *labels), 1)


def _add(found: dict[Key, float], key: Key, value: float) -> None:
    found[key] = found.get(key, 0) + value
