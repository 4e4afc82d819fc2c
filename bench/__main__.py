"""``python -m bench``: everything measured in one command, on loopback only."""

from __future__ import annotations

import argparse
import json
import resource
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import measure
from bench.alone import ALONE
from bench.loop import run
from bench.measure import Trial
from bench.peers import FORM, peer
from bench.processes import Server, wait_until_quiet
from bench.report import Report, machine
from bench.subjects import Subject, empty, floor, gateway, upstream

QUICK_SCALE = 0.1
QUICK_HELD = (100,)
MANY = {"FREELLMAPI_MAX_PER_TOKEN": "20000"}
"""All the load comes with one token."""


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="What the gateway costs.")
    add = parser.add_argument
    add("--repeat", type=int, default=3, help="runs; medians are shown (default 3)")
    add("--quick", action="store_true", help="small counts and one run, for CI")
    add("--only", default="", help=f"some of: {','.join((*measure.SCENARIOS, *ALONE))}")
    add("--held", default="1000,5000", help="how many slow streams (default 1000,5000)")
    add("--subjects", default="gateway,floor,empty,direct", help="or some of them")
    add("--peer", action="append", default=[], metavar=FORM, help="another gateway that runs here")
    add("--upstream-port", type=int, default=0, help="of the fake provider, for peers to know")
    add("--model", default="auto", help="the model asked of the gateway (default auto)")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="for the gateway")
    add("--json", type=Path, metavar="FILE", help="also write every value there")
    add("--keep", type=Path, metavar="FOLDER", help="keep data and logs in this new folder")
    given = parser.parse_args(arguments)
    given.only = list(filter(None, given.only.split(",")))
    if unknown := set(given.only) - measure.SCENARIOS.keys() - ALONE.keys():
        parser.error(f"no scenario {', '.join(sorted(unknown))}")
    try:
        given.peer = [peer(text) for text in given.peer]
    except ValueError as exc:
        parser.error(f"--peer {FORM}: {exc}")
    return given


def main() -> int:
    given = options()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # What was started must end with us, however that comes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    report, errors = Report(), Counter[str]()
    with ExitStack() as stack:
        if given.keep:
            given.keep.mkdir(parents=True)
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            if not given.only or set(given.only) & measure.SCENARIOS.keys():
                errors = under_load(given, folder.resolve(), stack, report)
        except RuntimeError as exc:
            print(f"bench: {exc}", file=sys.stderr)
            return 1
    for name in given.only or (() if given.quick else ALONE):
        if name in ALONE:
            report.add(measure.GATEWAY, ALONE[name]())
            print(f"{name} done", file=sys.stderr)
    print(", ".join(f"{name}: {value}" for name, value in machine().items()) + "\n")
    print(report.markdown())
    for error, times in errors.items():
        print(f"\n{times} x {error}")
    if given.json:
        given.json.write_text(json.dumps(report.as_json(errors), indent=1) + "\n")
    return 1 if errors else 0


def under_load(
    given: argparse.Namespace, folder: Path, stack: ExitStack, report: Report
) -> Counter[str]:
    """Starts everything, runs the scenarios, and leaves the stopping to ``stack``."""
    fake = upstream(folder, given.upstream_port)
    provider, changes = fake.target, dict(pair.split("=", 1) for pair in given.set)
    fake_server = stack.enter_context(fake.start()[0])
    makers = {
        "gateway": lambda: gateway(folder, provider.port, MANY | changes, given.model),
        "floor": lambda: floor(folder, provider.port),
        "empty": lambda: empty(folder),
    }
    trials = []
    for name in given.subjects.split(","):
        if name in makers:
            subject = makers[name]()
            server = started(subject, report, 1 if given.quick else given.repeat)
            stack.enter_context(server)
            trials.append(Trial(subject, server, provider))
    if "direct" in given.subjects.split(","):
        trials.append(Trial(Subject("direct", fake.program, provider), fake_server, provider))
    trials += [Trial(subject, server, provider) for subject, server in given.peer]
    for trial in trials:
        trial.held = [int(number) for number in given.held.split(",")]
        if given.quick:
            trial.scale, trial.held = QUICK_SCALE, QUICK_HELD
    run(all_scenarios(given, trials, report))
    wait_until_quiet([trial.server for trial in trials])
    for trial in trials:
        report.add(trial.subject.name, {"memory MiB (PSS), after": trial.server.memory_mib()})
    return sum((trial.errors for trial in trials), Counter())


def started(subject: Subject, report: Report, times: int) -> Server:
    """Cold starts, the last of which goes on running."""
    for turn in range(times):
        server, seconds = subject.start()
        wait_until_quiet([server])
        idle = {"cold start to first answer s": seconds, "memory MiB (PSS), idle": 0.0}
        idle["memory MiB (PSS), idle"] = server.memory_mib()
        report.add(subject.name, idle)
        if turn < times - 1:
            server.stop()
    return server


async def all_scenarios(given: argparse.Namespace, trials: Sequence[Trial], report: Report) -> None:
    """The subjects take turns at each scenario, so that all meet the same machine."""
    for trial in trials:
        await measure.warm_up(trial)
    chosen = [name for name in measure.SCENARIOS if not given.only or name in given.only]
    for turn in range(1 if given.quick else given.repeat):
        for name in chosen:
            for trial in trials:
                if name in measure.YARDSTICKS.get(trial.subject.name, chosen):
                    report.add(trial.subject.name, await measure.SCENARIOS[name](trial))
            print(f"run {turn + 1}: {name} done", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
