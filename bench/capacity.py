"""``python -m bench.capacity``: many clients, true caps: none exceeded, all of them used.

Three providers enforce sliding windows, one each by requests a minute, tokens a minute and
requests a day, with several keys; the gateway knows the caps. The clients ask as fast as
they are answered, and come back when they are told to.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.e2e.crowd import Member, capacity, crowd, within
from tests.e2e.server import Server
from tests.fakes.provider import Caps, FakeProvider, later, says

USAGE = (60, 40)
TOKENS = sum(USAGE)
ANSWERS_AFTER = 0.3
ROOMS = {
    "by-requests": (Caps(rpm=60, rpd=10_000), 4),
    "by-tokens": (Caps(rpm=1_000, tpm=60 * TOKENS), 3),
    "by-day": (Caps(rpm=60, rpd=90), 2),
}
"""Provider -> what each of its keys may do, and how many keys there are."""


def config(urls: dict[str, str]) -> str:
    lines = [f"chain = {[f'{name}/m' for name in ROOMS]}", "[settings]", "probe_interval = 0"]
    for name, (caps, keys) in ROOMS.items():
        stated = {"rpm": caps.rpm, "tpm": caps.tpm, "rpd": caps.rpd}
        limits = ", ".join(f"{k} = {v}" for k, v in stated.items() if v is not None)
        lines += ["[[providers]]", f'id = "{name}"', f'base_url = "{urls[name]}"']
        lines += [f'models = [{{ id = "m", context = 100000, limits = {{ {limits} }} }}]']
        for number in range(keys):
            lines += ["[[keys]]", f'provider = "{name}"', f'key = "{name}-key-{number}"']
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.capacity", description="Caps, kept and used.")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=120)
    given = parser.parse_args()
    with ExitStack() as stack:
        fakes = {
            name: stack.enter_context(FakeProvider(limits=caps))
            for name, (caps, _) in ROOMS.items()
        }
        for fake in fakes.values():
            fake.default = later(ANSWERS_AFTER, says("four words of answer", usage=USAGE))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        text = config({name: fake.base_url for name, fake in fakes.items()})
        server = stack.enter_context(Server(folder, text))
        members = crowd(server, given.clients, given.seconds)
        return report(fakes, members, given.seconds)


def report(fakes: dict[str, FakeProvider], members: list[Member], seconds: float) -> int:
    """Prints what was seen; 1 if a promise is not kept."""
    refused = sum(fake.violations for fake in fakes.values())
    possible = used = 0
    for name, (caps, keys) in ROOMS.items():
        room = capacity(caps, TOKENS, seconds) * keys
        done = within(fakes[name].served, seconds)
        print(f"{name:12} {done:5} of {room:5} calls = {done / room:6.1%}")
        possible, used = possible + room, used + done
    answers = sorted(len(member.waits) for member in members)
    waits = sorted(wait for member in members for wait in member.waits)
    wrong = [each for member in members for each in member.wrong]
    print(f"{'all':12} {used:5} of {possible:5} calls = {used / possible:6.1%}")
    print(f"429s by providers: {refused}; to clients: {sum(m.refused for m in members)}")
    print(f"answers a client: {answers[0]} to {answers[-1]}, median {answers[len(answers) // 2]}")
    print(f"wait for an answer: median {waits[len(waits) // 2]:.1f} s, longest {waits[-1]:.1f} s")
    for each in wrong[:5]:
        print(f"wrong: {each}")
    return int(refused > 0 or used < 0.95 * possible or answers[0] == 0 or bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
