"""What ``freellmapi explain`` prints, made from the same JSON that the server gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import tzinfo
from typing import Any

from freellmapi.cli.session import table
from freellmapi.cli.times import clock_time, in_time, span
from freellmapi.router.snapshot import ANONYMOUS

Json = Mapping[str, Any]

_KINDS = {
    "chain": "the fallback chain",
    "strategy": "the fallback chain",
    "model": "exactly that one",
    "family": "a family",
    "id": "a provider's own id, and its family",
}
_SHOWN = 3
"""Models named of those that are folded."""


def explained_text(found: Json, zone: tzinfo | None = None) -> str:
    """The decision as a table; ``zone`` is this machine's own unless given."""
    parts = [_heading(found), table([_HEAD, *_rows(found, zone)]) if found["candidates"] else ""]
    parts += [_left_out(found["left_out"]), _scores(found), _verdict(found, zone)]
    return "\n\n".join(part for part in parts if part)


_HEAD = ("", "", "model", "key", "why")


def _heading(found: Json) -> str:
    meanings = (
        f"{m['name']}: {_KINDS[m['kind']]}, {_counted(m['models'], 'model')}"
        for m in found["understood"]
    )
    needs = f" and needs {', '.join(found['needs'])}" if found["needs"] else ""
    lines = [
        "; then ".join(meanings) + f"; in the order of {found['strategy']!r}.",
        f"The request is about {found['prompt_tokens']:,} tokens{needs}; "
        f"{found['reserved_tokens']:,} are held for it and its answer.",
    ]
    if found["sticky"]:
        lines.append(f"The conversation keeps {found['sticky']}.")
    if found.get("source") == "database":
        lines.append("No server runs here: what one has benched is not known.")
    return "\n".join(lines)


def _rows(found: Json, zone: tzinfo | None) -> Iterator[tuple[object, ...]]:
    for place, row in enumerate(found["candidates"], 1):
        mark = "→" if row["next"] else "✓" if row["passed"] else "✗"
        key = "all keys" if row["key"] is None else row["key_label"] or row["key"]
        yield mark, place, row["model"], key, _why(row, found["at"], zone)


def _why(row: Json, now: float, zone: tzinfo | None) -> str:
    """The gates that are shut; for who passes them all, what is left there."""
    shut = [gate for gate in row["gates"] if not gate["passed"]]
    if not shut:
        return str(row["gates"][-1]["reason"])
    said = [
        gate["reason"] + (f", opens {in_time(gate['until'], now, zone)}" if gate["until"] else "")
        for gate in shut
    ]
    if row["last_resort"]:
        said.append("tried all the same, since nobody else is left")
    return "; ".join(said)


def _left_out(groups: Iterable[Json]) -> str:
    return "\n".join(f"✗ {group['reason']}: {_named(group['models'])}" for group in groups)


def _named(models: list[str]) -> str:
    more = f" and {len(models) - _SHOWN} more" if len(models) > _SHOWN else ""
    return ", ".join(models[:_SHOWN]) + more


def _scores(found: Json) -> str:
    """What the strategy makes of each model that has a row."""
    rows = {row["model"] for row in found["candidates"]}
    scored = [p for p in found["order"] if p["score"] is not None and p["model"] in rows]
    if not scored:
        return ""
    head = ("model", "score", "success", "speed", "headroom", "intelligence", "expected", "calls")
    return table([head, *(_score(place["model"], place["score"]) for place in scored)])


def _score(model: str, score: Json) -> tuple[object, ...]:
    shares = [f"{score[name]:.2f}" for name in ("total", "success", "speed", "headroom")]
    expected = f"{span(score['first_token'])}, then {score['tokens_a_second']:.0f} tokens/s"
    return (model, *shares, f"{score['intelligence']:.2f}", expected, f"{score['calls']:.0f}")


def _verdict(found: Json, zone: tzinfo | None) -> str:
    following = found["next"]
    if following is not None:
        key = f"with the key {following['key_label'] or following['key']}"
        if following["key"] == ANONYMOUS:
            key = "without a key"
        return f"→ {following['model']} would be asked, {key}."
    if found["opens_at"] is not None:
        return (
            f"Nobody can be asked; the first opens {in_time(found['opens_at'], found['at'], zone)}."
        )
    return "Nobody can be asked, and waiting would not help."


def happened_text(found: Json, zone: tzinfo | None = None) -> str:
    """One past request: how it ended, and each attempt."""
    at = found["at"]
    lines = [
        f"{found['request_id']} asked for {found['model']} at {clock_time(at, 0, zone)}.",
        _ending(found),
    ]
    if not found["attempts"]:
        return "\n".join([*lines, "Nobody was asked."])
    rows = [_tried(place, one) for place, one in enumerate(found["attempts"], 1)]
    head = ("", "", "model", "key", "after", "took", "status", "what")
    return "\n".join([*lines, "", table([head, *rows])])


def _ending(found: Json) -> str:
    took = span(found["duration"])
    first = found["first_token"]
    if first is not None:
        took = f"{took}, the first token after {span(first)}"
    if found["served_by"] is None:
        return f"It was answered with {found['status']} ({found['error']}) after {took}."
    resumed = " It broke off on the way, and another one went on." if found["resumed"] else ""
    error = f" ({found['error']})" if found["error"] else ""
    about = "" if found["exact"] else "about "
    tokens = f"{about}{found['prompt_tokens']:,} tokens in and {found['completion_tokens']:,} out"
    return (
        f"{found['served_by']} served it: {found['status']}{error} after {took}; {tokens}.{resumed}"
    )


def _tried(place: int, one: Json) -> tuple[object, ...]:
    what = "answered" if one["answered"] else f"{one['kind']}: {one['reason']}"
    if one["completion_tokens"]:
        what += f", {one['completion_tokens']:,} tokens"
    return (
        "✓" if one["answered"] else "✗",
        place,
        one["model"],
        one["key_label"] or one["key"],
        span(one["after"]),
        span(one["duration"]),
        one["status"] or "-",
        what,
    )


def _counted(n: int, thing: str) -> str:
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"
