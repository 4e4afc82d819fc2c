"""Runs Lighthouse from npm on a page, in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CATEGORIES = ("performance", "accessibility", "best-practices")
FORMS = ("desktop", "mobile")
VERSION = "13"
TIMEOUT = 240.0
CHROMIUM = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)


@dataclass(frozen=True, slots=True)
class Scores:
    """Of 100, in the order of ``CATEGORIES``; ``failed`` names the audits that lost points.

    ``machine`` is Lighthouse's own measure of the machine at that time: about 1000 for a desk
    computer, and below 500 a performance says more of the machine than of the page.
    """

    scores: tuple[int, ...]
    failed: tuple[str, ...]
    metrics: Mapping[str, str]
    machine: float


def install(folder: Path) -> Path:
    """Lighthouse in this folder, from npm unless it is there already; the program."""
    program = folder / "node_modules" / ".bin" / "lighthouse"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder)]
        subprocess.run([*command, f"lighthouse@{VERSION}"], check=True, capture_output=True)
    return program


def scored(program: Path, url: str, cookie: str, form: str, times: int) -> Scores:
    """The run in the middle of so many, by its performance."""
    runs = sorted(
        (_run(program, url, cookie, form) for _ in range(times)), key=lambda run: run.scores
    )
    return runs[len(runs) // 2]


def _run(program: Path, url: str, cookie: str, form: str) -> Scores:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or ""
    headers = {"Cookie": cookie} if cookie else {}
    command = [
        *(str(program), url, "--quiet", "--output=json", "--output-path=stdout"),
        *(f"--chrome-flags={CHROMIUM}", f"--only-categories={','.join(CATEGORIES)}"),
        *(f"--extra-headers={json.dumps(headers)}", "--disable-storage-reset"),
        *(["--preset=desktop"] if form == "desktop" else []),
    ]
    environ = os.environ | {"CHROME_PATH": chromium}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode:
        raise RuntimeError(f"lighthouse {url}: {done.stderr[-1000:]}")
    return read(json.loads(done.stdout))


def read(report: Mapping[str, Any]) -> Scores:
    """``RuntimeError`` when it saw another page than it was sent to."""
    categories, audits = report["categories"], report["audits"]
    if report["finalDisplayedUrl"] != report["requestedUrl"]:
        raise RuntimeError(f"lighthouse saw {report['finalDisplayedUrl']}")
    failed = [
        f"{audits[ref['id']]['title']} ({audits[ref['id']]['score']})"
        for name in CATEGORIES
        for ref in categories[name]["auditRefs"]
        if ref["weight"]
        and (audits[ref["id"]]["score"] or 0) < 0.9
        and audits[ref["id"]]["scoreDisplayMode"] not in ("notApplicable", "manual", "informative")
    ]
    metrics = {
        ref["acronym"]: audits[ref["id"]].get("displayValue", "")
        for ref in categories["performance"]["auditRefs"]
        if ref.get("acronym")
    }
    scores = tuple(round((categories[name]["score"] or 0) * 100) for name in CATEGORIES)
    return Scores(scores, tuple(failed), metrics, report["environment"]["benchmarkIndex"])
