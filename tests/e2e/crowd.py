"""Many clients who want more than there is: how much of it they get, and how fairly."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import openai

from tests.e2e.server import CLOCK, HELLO, Server
from tests.e2e.stage import ask
from tests.fakes.caps import Caps, Served


@dataclass(slots=True)
class Member:
    """One client: it asks, waits as long as it is told to, and asks again."""

    waits: list[float] = field(default_factory=list)
    """Seconds from the first try to the answer, for each answer."""
    waiting_since: float | None = None
    refused: int = 0
    wrong: list[str] = field(default_factory=list)
    """Anything but an answer, or a 429 that says when to come back."""

    def ask_until(self, end: float, client: openai.OpenAI, stream: bool) -> None:
        while (now := CLOCK.monotonic()) < end:
            if self.waiting_since is None:
                self.waiting_since = now
            seen = ask(client, "auto", stream=stream, messages=HELLO, max_tokens=100)
            if seen.error is None:
                self.waits.append(CLOCK.monotonic() - self.waiting_since)
                self.waiting_since = None
            elif seen.status == 429 and seen.retry_after:
                self.refused += 1
                CLOCK.sleep(max(0.0, min(seen.retry_after, end - CLOCK.monotonic())))
            else:
                self.wrong.append(str(seen.error))
                return


def crowd(server: Server, count: int, seconds: float) -> list[Member]:
    """So many clients at once, every other one streaming; at the end what each has seen."""
    members = [Member() for _ in range(count)]
    end = CLOCK.monotonic() + seconds
    with server.client(60) as client, ThreadPoolExecutor(count) as pool:
        asking = [
            pool.submit(member.ask_until, end, client, number % 2 == 0)
            for number, member in enumerate(members)
        ]
        for each in asking:
            each.result()
    return members


def capacity(caps: Caps, tokens: int, seconds: float) -> int:
    """The most calls of so many tokens that one key with these caps can serve in that time."""
    minutes = int(seconds // caps.minute) + (seconds % caps.minute > 0)
    each_minute = [caps.rpm] if caps.rpm is not None else []
    each_minute += [caps.tpm // tokens] if caps.tpm is not None else []
    most = min(each_minute, default=10**9) * minutes
    return most if caps.rpd is None else min(most, caps.rpd)


def within(served: Sequence[Served], seconds: float) -> int:
    """How many calls came in so many seconds from the first."""
    return sum(call.at < served[0].at + seconds for call in served) if served else 0
