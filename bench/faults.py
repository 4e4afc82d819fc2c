"""``python -m bench.faults [WORD ...]``: the faults with the settings as they are shipped.

Takes some minutes, so it is no test: it prints a table: what the client saw, after how many
seconds. Words choose the stories that have one of them in their name.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from tests.e2e.faults import LIMITS, REAL, STORIES, Play, tellings, title
from tests.e2e.server import Server
from tests.e2e.stage import Seen, Stage
from tests.fakes.provider import FakeProvider

AT_ONCE = 6
PARTS = ("cerebras", "groq", "mistral", "scaleway", "together", "siliconflow")
"""Providers without peculiarities. They are not local, so that benches last their time."""


def told(name: str, alone: bool, stream: bool) -> list[Seen]:
    """What the client saw in one telling; ``AssertionError`` when it should not have."""
    size = 1 if alone else 2
    with FakeProvider() as fake, tempfile.TemporaryDirectory() as folder:
        stage = Stage(fake, size, count=len(PARTS) // size, ids=PARTS)
        with Server(Path(folder), stage.config(LIMITS)) as server, server.client(150) as client:
            play = Play(stage, server, client, REAL, alone, stream)
            try:
                STORIES[name](play)
            except AssertionError:
                print(server.log()[-4_000:], file=sys.stderr)
                raise
            return play.seen


def summary(seen: list[Seen]) -> str:
    """What was seen how often, and the longest time that each took."""
    times: Counter[str] = Counter()
    longest: dict[str, float] = {}
    for each in seen:
        text = described(each)
        times[text] += 1
        longest[text] = max(longest.get(text, 0.0), each.seconds)
    return "; ".join(f"{count} x {text} ({longest[text]:.1f} s)" for text, count in times.items())


def described(seen: Seen) -> str:
    if seen.error is not None:
        wait = f", Retry-After {seen.retry_after}" if seen.retry_after is not None else ""
        return f"{type(seen.error).__name__} {seen.status} {seen.code}{wait}"
    return f"whole, {seen.failed} failed unseen" if seen.failed else "whole"


def main() -> int:
    words = sys.argv[1:] or [""]
    results: list[tuple[str, Future[list[Seen]]]] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for telling in tellings(n for n in STORIES if any(word in n for word in words)):
            results.append((title(*telling), pool.submit(told, *telling)))
    wrong = 0
    for name, result in results:
        error = result.exception()
        wrong += error is not None
        line = summary(result.result()) if error is None else f"WRONG: {error!r}"[:300]
        print(f"{name} | {line}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
