"""What the address of Analytics asks for: range, breakdown, filters, page, time zone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from enum import Enum
from typing import TypeVar
from urllib.parse import urlencode

from flask import url_for

from freellmapi.core.values import dataclass
from freellmapi.dashboard import periods
from freellmapi.dashboard.periods import Range, UnknownZone
from freellmapi.dashboard.queries import Filters

ZONE_COOKIE = "zone"
SERVER_ZONE = "UTC"
_LONGEST = 200
_KEPT = ("range", "by", "lines", "outcome", "provider", "model", "client", "text", "tables", "tz")

E = TypeVar("E", bound=Enum)


class By(str, Enum):
    """What the breakdown has a row for."""

    PROVIDER = "provider"
    MODEL = "model"
    KEY = "key"
    CLIENT = "client"


_USUAL: Mapping[str, Enum] = {"range": Range.DAY, "by": By.PROVIDER}


class Outcome(str, Enum):
    """How a request ended, as the filter names it."""

    ANY = ""
    ANSWERED = "answered"
    FAILED = "failed"
    FELL_BACK = "fallback"


@dataclass(frozen=True, slots=True)
class Asked:
    """The address, read. What it leaves out or has wrong is as if nothing was asked.

    ``before`` and ``open`` are row ids of the log: where the page of requests begins, and
    whose attempts are shown; ``lines`` shows the breakdown's rows beyond the first; ``tables``
    shows those behind the charts, where no script does. ``tz`` is the zone in the address,
    ``zone`` the one in use.
    """

    range: Range = Range.DAY
    by: By = By.PROVIDER
    lines: str = ""
    outcome: Outcome = Outcome.ANY
    provider: str = ""
    model: str = ""
    client: str = ""
    text: str = ""
    before: str = ""
    open: str = ""
    tables: str = ""
    tz: str = ""
    zone: str = SERVER_ZONE

    @classmethod
    def of(cls, args: Mapping[str, str], cookie: str) -> Asked:
        """From the query and the zone that the browser told."""
        tz = args.get("tz", "") if _is_zone(args.get("tz", "")) else ""
        return cls(
            range=_one_of(Range, args.get("range"), Range.DAY),
            by=_one_of(By, args.get("by"), By.PROVIDER),
            lines="all" if args.get("lines") else "",
            outcome=_one_of(Outcome, args.get("outcome"), Outcome.ANY),
            provider=args.get("provider", "")[:_LONGEST],
            model=args.get("model", "")[:_LONGEST],
            client=_number(args.get("client", "")),
            text=args.get("text", "").strip()[:_LONGEST],
            before=_number(args.get("before", "")),
            open=_number(args.get("open", "")),
            tables="1" if args.get("tables") else "",
            tz=tz,
            zone=tz or (cookie if _is_zone(cookie) else SERVER_ZONE),
        )

    @property
    def place(self) -> tzinfo:
        return periods.zone_of(self.zone)

    @property
    def is_filtered(self) -> bool:
        return any((self.outcome.value, self.provider, self.model, self.client, self.text))

    def local(self, at: float) -> datetime:
        """A moment on the viewer's clock."""
        return datetime.fromtimestamp(at, self.place)

    def filters(self, now: float) -> Filters:
        """Of the recent requests; they begin where the figures begin."""
        failed = {Outcome.FAILED: True, Outcome.ANSWERED: False}.get(self.outcome)
        return Filters(
            failed=failed,
            provider=self.provider,
            model=self.model,
            client=int(self.client) if self.client else None,
            fallback_only=self.outcome is Outcome.FELL_BACK,
            text=self.text,
            since=periods.steps(self.range, self.place, now)[0].at,
        )

    def query(self, **changes: object) -> dict[str, str]:
        """The parameters of the same page but for ``changes``; back at the first requests."""
        now = {name: getattr(self, name) for name in _KEPT} | changes
        return {
            name: str(value.value if isinstance(value, Enum) else value)
            for name, value in now.items()
            if value and value != _USUAL.get(name)
        }

    def url(self, anchor: str = "", **changes: object) -> str:
        """The address of the page with ``changes``."""
        # Flask takes four times as long to put a query into an address, and a page has hundreds.
        query = urlencode(self.query(**changes))
        path = url_for("analytics.page")
        return f"{path}{'?' if query else ''}{query}{'#' if anchor else ''}{anchor}"

    def csv_url(self) -> str:
        """The export of what the filters let through."""
        return url_for("analytics.export", **self.query(by=By.PROVIDER))  # type: ignore[arg-type]


def _one_of(kind: type[E], value: str | None, otherwise: E) -> E:
    try:
        return kind(value)
    except ValueError:
        return otherwise


def _is_zone(name: str) -> bool:
    try:
        return bool(name) and periods.zone_of(name) is not None
    except UnknownZone:
        return False


def _number(text: str) -> str:
    return text if text.isdecimal() and text.isascii() and len(text) < 18 else ""
