"""``GET /metrics``: for Prometheus, from this machine or with the unified key.

Everything is counted in plain dictionaries; only an answer here makes metrics of them, and
loads the library for it. Among several workers whoever is asked answers for all of a server.
"""

from __future__ import annotations

import hmac
import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import accumulate
from typing import TYPE_CHECKING

from flask import Blueprint, Response, request

from freellmapi.api.auth import refused, token_in
from freellmapi.api.measured import own, seen
from freellmapi.api.metric_names import BOUNDS, METRICS
from freellmapi.core.counts import Key, Numbers
from freellmapi.dashboard.sessions import is_this_machine
from freellmapi.services import Services, services
from freellmapi.storage.tokens import UNIFIED, digest

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

bp = Blueprint("metrics", __name__)


@bp.get("/metrics")
def metrics() -> Response:
    """All metrics, as text or as OpenMetrics, whichever is asked for."""
    parts = services()
    if not is_this_machine():
        _check_key(parts)
    _load(parts)
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry()
    registry.register(Families(numbers(parts)))
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(registry), content_type=content_type)


def _load(parts: Services) -> None:
    """The library, which takes a tenth of a second, and only the first time."""
    if "prometheus_client" not in sys.modules:
        parts.off_hub(lambda: import_module("prometheus_client"))


def numbers(parts: Services) -> Numbers:
    """All there is to say now."""
    found, workers = own(parts), 1
    if parts.exchange is not None:
        found, workers = parts.exchange.all(found)
    found.gauges |= seen(parts)
    found.gauges["freellmapi_workers",] = workers
    return found


def _check_key(parts: Services) -> None:
    """The unified key alone: the tokens of single clients are for ``/v1``."""
    wanted = digest(token_in(request.environ))
    found = parts.configuration.clients.get(wanted)
    if found is None or found.name != UNIFIED or not hmac.compare_digest(found.digest, wanted):
        raise refused("Metrics are for this machine alone, and for who sends the unified key.")


class Families:
    """The numbers as the library's collectors give them."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers

    def describe(self) -> list[Family]:
        """Nothing ahead of time."""
        return []

    def collect(self) -> Iterator[Family]:
        found = self._numbers
        values = found.counters | found.gauges | found.highest
        samples: dict[str, list[Key]] = {}
        for key in sorted((*values, *found.histograms)):
            samples.setdefault(key[0], []).append(key)
        for name, keys in samples.items():
            if METRICS[name].kind == "histogram":
                yield _histogram(name, {key: found.histograms[key] for key in keys})
            else:
                yield _family(name, {key: values[key] for key in keys})


def _family(name: str, values: dict[Key, float]) -> Family:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    metric = METRICS[name]
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(name, metric.says, labels=metric.labels)
    for key, value in values.items():
        family.add_metric(key[1:], value)
    return family


def _histogram(name: str, values: dict[Key, list[float]]) -> Family:
    from prometheus_client.core import HistogramMetricFamily

    metric = METRICS[name]
    family = HistogramMetricFamily(name, metric.says, labels=metric.labels)
    bounds = [*(str(bound) for bound in BOUNDS[name]), "+Inf"]
    for key, (*counts, total) in values.items():
        buckets = list(zip(bounds, accumulate(counts), strict=True))
        family.add_metric(key[1:], buckets, total)
    return family
