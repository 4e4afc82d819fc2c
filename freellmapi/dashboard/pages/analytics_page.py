"""What the page Analytics shows, as ready values."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from freellmapi.core.errors import ErrorKind
from freellmapi.core.values import dataclass
from freellmapi.dashboard import filters, queries
from freellmapi.dashboard.analytics import overview
from freellmapi.dashboard.pages.analytics_asked import Asked, By
from freellmapi.dashboard.pages.analytics_charts import Axis, Chart, axis, charts
from freellmapi.dashboard.pages.analytics_quota import CapLine, cap_lines
from freellmapi.dashboard.periods import Range
from freellmapi.dashboard.reading import Finished
from freellmapi.dashboard.recent import Entry, Page, page
from freellmapi.dashboard.report import Figure, Line, Overview
from freellmapi.router.quota import Quota
from freellmapi.router.snapshot import Snapshot
from freellmapi.services import Services
from freellmapi.storage.rollups import Rollups

PAGE = 25
FEW_LINES, MOST_LINES = 15, 100
"""Rows of a breakdown, and when all are asked for."""
MINUTE = 60
_SAME = 0.0005
_STATES = {
    "limited": ("rate_limited", "daily_quota", "out_of_credit"),
    "invalid": ("key_rejected", "model_forbidden", "model_gone"),
    "off": (ErrorKind.HEDGED_OUT.value, ErrorKind.CLIENT_GONE.value),
}
RANGES = {over: f"{over.days} days" for over in Range} | {Range.DAY: "24 hours"}


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure; ``change`` against the period before, with whether it is for the better."""

    label: str
    text: str
    full: str
    note: str
    change: str
    mood: str
    """better, worse, or empty when it is neither."""
    before: str


@dataclass(frozen=True, slots=True)
class AnalyticsPage:
    """All of it. ``has_any`` says that the log has something, in whatever period."""

    asked: Asked
    now: float
    mark: str
    overview: Overview
    tiles: tuple[Tile, ...]
    axis: Axis
    charts: tuple[Chart, ...]
    caps: tuple[CapLine, ...]
    lines: tuple[Line, ...]
    more_lines: int
    recent: Page
    has_any: bool
    has_keys: bool

    @property
    def is_empty(self) -> bool:
        return not self.overview.headline.requests.value

    @property
    def ranges(self) -> dict[Range, str]:
        return RANGES

    @property
    def kinds(self) -> tuple[By, ...]:
        return tuple(By)

    @property
    def providers(self) -> list[tuple[str, str]]:
        """What requests can be filtered by, value and text; so do ``models`` and ``clients``."""
        return [(line.id, line.name) for line in self.overview.providers if line.id]

    @property
    def models(self) -> list[tuple[str, str]]:
        # Several providers may have a model of one name.
        names = dict.fromkeys(at.name for at in self.overview.models[:MOST_LINES] if at.id)
        return [(name, name) for name in names]

    @property
    def clients(self) -> list[tuple[str, str]]:
        return [(line.id or "0", line.name) for line in self.overview.clients[:MOST_LINES]]

    def when(self, at: float) -> str:
        """On the viewer's clock; the day too, unless it is today."""
        local, today = self.asked.local(at), self.asked.local(self.now)
        day = "" if local.date() == today.date() else f"{local.day} {local:%b} "
        return f"{day}{local:%H:%M:%S}"

    @property
    def rows(self) -> Iterator[tuple[Entry, str]]:
        """The requests, each with the address at which it is open, or shut if it is."""
        url = self.asked.url(before=self.asked.before)
        opens = f"{url}{'&' if '?' in url else '?'}open="
        for entry in self.recent.rows:
            is_open = str(entry.id) == self.asked.open
            yield entry, f"{url if is_open else f'{opens}{entry.id}'}#r{entry.id}"

    def state(self, entry: Entry) -> tuple[str, str]:
        """Kind and word of how a request ended."""
        if entry.failed:
            return kind_state(entry.error), (entry.error or str(entry.status)).replace("_", " ")
        failed = sum(
            call.error not in (None, ErrorKind.HEDGED_OUT.value) for call in entry.attempts
        )
        if failed:
            return "healthy", f"after {failed} failed"
        return "healthy", "answered"

    def width(self, line: Line) -> float:
        """The line's share of the busiest one's requests, in percent."""
        return round(100 * line.requests / max(1, self.lines[0].requests), 1)


def kind_state(error: str | None) -> str:
    """The state whose colour and shape a kind of error takes."""
    if error is None:
        return "healthy"
    return next((state for state, kinds in _STATES.items() if error in kinds), "error")


def mark(parts: Services) -> str:
    """Changes with every request logged, and each minute as caps come back."""
    return f"{queries.newest(parts.database)}.{int(parts.clock.now() // MINUTE)}"


def analytics_page(
    parts: Services, snapshot: Snapshot, quota: Quota, asked: Asked, finished: Finished
) -> AnalyticsPage:
    """Reads the database some ten milliseconds long: to be run off the hub."""
    now = parts.clock.now()
    current = mark(parts)
    catalog = snapshot.catalog
    most = MOST_LINES if asked.lines else FEW_LINES
    timed = most if asked.by is By.MODEL else 0
    before = int(asked.before) if asked.before else None
    with Rollups(parts.database).reading(now) as sums:
        shown = overview(sums, catalog, asked.range, asked.zone, now, finished, timed)
        found = queries.recent_in(sums.connection, asked.filters(now), before, PAGE)
    lines = getattr(shown, f"{asked.by.value}s")
    return AnalyticsPage(
        asked=asked,
        now=now,
        mark=current,
        overview=shown,
        tiles=_tiles(shown),
        axis=axis(shown.series, asked),
        charts=charts(shown, catalog),
        caps=cap_lines(quota),
        lines=lines[:most],
        more_lines=max(0, len(lines) - most),
        recent=page(found),
        has_any=not current.startswith("0."),
        has_keys=bool(quota.providers),
    )


def _tiles(shown: Overview) -> tuple[Tile, ...]:
    head, saved = shown.headline, shown.saved
    p95 = head.latency_p95.value
    priced = "" if saved.priced is None else f"{filters.percent(saved.priced)} of tokens priced"
    failures = sum(line.failures for line in shown.providers)
    return (
        _tile("Requests", head.requests, filters.tokens, full=filters.count),
        _tile(
            *("Success rate", head.success, filters.percent),
            note=f"{filters.count(failures)} failed" if failures else "none failed",
            points=True,
            better=1,
        ),
        _tile("Tokens in", head.tokens_in, filters.tokens, full=filters.count),
        _tile("Tokens out", head.tokens_out, filters.tokens, full=filters.count),
        _tile(
            *("Latency, median", head.latency_p50, filters.seconds),
            note="" if p95 is None else f"p95 {filters.seconds(p95)}",
            better=-1,
        ),
        _tile("First token, median", head.first_token_p50, filters.seconds, better=-1),
        _tile(
            *("Fell back", head.fallback, filters.percent),
            note="asked more than one",
            points=True,
            better=-1,
        ),
        _tile("Worth at list price", head.saved, _dollars, note=priced),
    )


def _tile(
    label: str,
    figure: Figure,
    say: Callable[[float], str],
    *,
    full: Callable[[float], str] | None = None,
    note: str = "",
    points: bool = False,
    better: int = 0,
) -> Tile:
    """``better``: 1 when more is, -1 when less is, 0 when neither."""
    value, change = figure.value, figure.change
    text = "–" if value is None else say(value)
    before = "nothing to compare with" if figure.before is None else say(figure.before)
    return Tile(
        label,
        text,
        full=full(value) if full and value is not None else "",
        note=note,
        change="" if change is None else _change(change, points),
        mood=_mood(change, better),
        before=before,
    )


def _mood(change: float | None, better: int) -> str:
    if not change or not better or abs(change) < _SAME:
        return ""
    return "better" if change * better > 0 else "worse"


def _change(change: float, points: bool) -> str:
    if abs(change) < _SAME:
        return "as before"
    arrow, size = ("↑" if change > 0 else "↓"), abs(change) * 100
    if points:
        return f"{arrow} {size:.1f}{filters.THIN}points"
    if change > 9:
        return f"{arrow} {change + 1:.0f} times"
    return (
        f"{arrow} {size:.0f}{filters.THIN}%" if size >= 1 else f"{arrow} {size:.1f}{filters.THIN}%"
    )


def _dollars(amount: float) -> str:
    if 0 < amount < 0.01:
        return "< $0.01"
    return f"${amount:,.2f}" if amount < 1000 else f"${filters.tokens(amount)}"
