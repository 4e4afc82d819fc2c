"""The error bodies in ``data/errors``: one file a provider, one row a surprise."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from freellmapi.core.catalog import Provider
from freellmapi.core.errors import Bench, ErrorKind

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent / "data" / "errors"
NOW = datetime(2026, 11, 22, 20, 0, 0, tzinfo=timezone.utc).timestamp()


@dataclass(frozen=True, slots=True)
class Case:
    """One answer of a provider, and all that must be made of it."""

    id: str
    provider: Provider
    status: int
    body: bytes
    kind: ErrorKind
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float | None = None
    bench: Bench | None = None
    limit: int | None = None
    message: str | None = None
    """None: not looked at."""
    seen_status: int = 0


def cases() -> Iterator[Case]:
    """Every row of every file."""
    for path in sorted(FOLDER.glob("*.toml")):
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        for row in data["case"]:
            yield _case(path.stem, data, row)


def _case(stem: str, data: Mapping[str, Any], row: Mapping[str, Any]) -> Case:
    known = {*Case.__dataclass_fields__, "name", "base_url"}
    assert row.keys() <= known, f"{stem}: {row['name']}: {row.keys() - known}"
    name = row.get("provider", stem)
    return Case(
        id=f"{stem if 'provider' not in row else name}: {row['name']}",
        provider=Provider(
            id=name,
            name=name,
            base_url=row.get("base_url", data.get("base_url", "")),
            reset_zone=data.get("reset_zone", "UTC"),
        ),
        status=row["status"],
        body=row["body"].encode(),
        kind=ErrorKind(row["kind"]),
        headers=row.get("headers", {}),
        wait=row.get("wait"),
        bench=Bench(row["bench"]) if "bench" in row else None,
        limit=row.get("limit"),
        message=row.get("message"),
        seen_status=row.get("seen_status", row["status"]),
    )
