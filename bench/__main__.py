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

from bench import decision, measure
from bench.loop import run
from bench.measure import Trial
from bench.processes import Server, wait_until_quiet
from bench.report import Report
from bench.subjects import Subject, floor, gateway, upstream

QUICK_SCALE = 0.1
QUICK_HELD = (100,)


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="What the gateway costs.")
    add = parser.add_argument
    add("--repeat", type=int, default=3, help="runs; medians are shown (default 3)")
    add("--quick", action="store_true", help="small counts and one run, for CI")
    add("--only", default="", help=f"some of: {','.join(measure.SCENARIOS)}; or decision")
    add("--held", default="200,1000", help="how many slow streams (default 200,1000)")
    add("--subjects", default="gateway,floor", help="one of them alone, if need be")
    add("--model", default="auto", help="the model asked of the gateway (default auto)")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="for the gateway")
    add("--json", type=Path, metavar="FILE", help="also write every value there")
    add("--keep", type=Path, metavar="FOLDER", help="keep data and logs in this new folder")
    given = parser.parse_args(arguments)
    if given.only == "decision":
        return given
    if unknown := set(filter(None, given.only.split(","))) - measure.SCENARIOS.keys():
        parser.error(f"no scenario {', '.join(sorted(unknown))}")
    return given


def main() -> int:
    given = options()
    if given.only == "decision":
        return decision.main()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # What was started must end with us, however that comes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with ExitStack() as stack:
        if given.keep:
            given.keep.mkdir(parents=True)
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            report, errors = measured(given, folder.resolve(), stack)
        except RuntimeError as exc:
            print(f"bench: {exc}", file=sys.stderr)
            return 1
    print(report.markdown())
    for error, times in errors.items():
        print(f"\n{times} x {error}")
    if given.json:
        given.json.write_text(json.dumps(report.as_json(errors), indent=1) + "\n")
    return 1 if errors else 0


def measured(
    given: argparse.Namespace, folder: Path, stack: ExitStack
) -> tuple[Report, Counter[str]]:
    """Starts everything, runs the scenarios, and leaves the stopping to ``stack``."""
    fake = upstream(folder)
    stack.enter_context(fake.start()[0])
    provider = fake.target
    changes = dict(pair.split("=", 1) for pair in given.set)
    wanted = given.subjects.split(",")
    subjects: list[Subject] = []
    if "gateway" in wanted:
        subjects.append(gateway(folder, provider.port, changes, given.model))
    if "floor" in wanted:
        subjects.append(floor(folder, provider.port))
    report = Report()
    trials = []
    for subject in subjects:
        server = started(subject, report, 1 if given.quick else given.repeat)
        stack.enter_context(server)
        trials.append(Trial(subject, server, provider))
    for trial in trials:
        trial.held = [int(number) for number in given.held.split(",")]
        if given.quick:
            trial.scale, trial.held = QUICK_SCALE, QUICK_HELD
    run(all_scenarios(given, trials, report))
    wait_until_quiet([trial.server for trial in trials])
    for trial in trials:
        report.add(trial.subject.name, {"memory MiB (PSS), after": trial.server.memory_mib()})
    return report, sum((trial.errors for trial in trials), Counter())


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
    """The subjects take turns at each scenario, so that both meet the same machine."""
    for trial in trials:
        await measure.warm_up(trial)
    chosen = given.only.split(",") if given.only else list(measure.SCENARIOS)
    for turn in range(1 if given.quick else given.repeat):
        for name in chosen:
            for trial in trials:
                report.add(trial.subject.name, await measure.SCENARIOS[name](trial))
            print(f"run {turn + 1}: {name} done", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
