"""Figures as people read them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from freellmapi.dashboard import filters
from freellmapi.providers.catalog import load_catalog
from freellmapi.web import asset_folder

TOKENS = [0, 12, 999, 999.6, 1_000, 1_204, 12_345, 99_960, 123_456, 999_499, 1e6, 3_120_000, 2e9]
DURATIONS = [0, 0.0004, 0.412, 0.9994, 0.9996, 1.34, 9.94, 9.96, 14, 59.4, 59.6, 61, 3_600, 11_520]
DURATIONS += [86_400, 187_200, 86_399.7]
SHARES = [0, 0.0001, 0.001, 0.5, 0.998, 0.9999, 1]
PASTS = [0, 9, 10, 59.2, 61, 3_599, 7_200, 90_000]
NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (filters.count(1204), "1,204"),
        (filters.count(0.5), "0.5"),
        (filters.tokens(3_120_000), "3.1 M"),
        (filters.tokens(999_960), "1 M"),
        (filters.tokens(412), "412"),
        (filters.seconds(0.412), "412 ms"),
        (filters.seconds(1.34), "1.3 s"),
        (filters.seconds(14.2), "14 s"),
        (filters.seconds(11_520), "3 h 12 min"),
        (filters.seconds(3_600), "1 h"),
        (filters.seconds(61), "1 min 1 s"),
        (filters.percent(0.99996), "99.9 %"),
        (filters.percent(0.00001), "0.1 %"),
        (filters.percent(0.14), "14.0 %"),
        (filters.percent(1), "100 %"),
        (filters.ago(None, NOW), "never"),
        (filters.ago(NOW - 3, NOW), "just now"),
        (filters.ago(NOW - 250, NOW), "4 min ago"),
        (filters.until(NOW + 11_520, NOW), "in 3 h 12 min"),
        (filters.until(NOW - 1, NOW), "now"),
        (filters.until(None, NOW), ""),
        (filters.when(0), "1970-01-01 00:00:00 UTC"),
        (filters.iso(0), "1970-01-01T00:00:00+00:00"),
    ],
)
def test_figures_are_short(given: str, shown: str) -> None:
    assert given.replace(filters.THIN, " ") == shown


def test_well_known_providers_have_a_hue_each() -> None:
    known = ("groq", "google", "cerebras", "openrouter", "mistral", "github", "cohere", "nvidia")
    assert len({filters.hue(name) for name in known}) == len(known)
    assert all(0 <= filters.hue(name) < 12 for name in load_catalog().providers)


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
def test_the_browser_says_the_same(tmp_path: Path) -> None:
    js = asset_folder() / "static" / "js" / "lib"
    (tmp_path / "format.mjs").write_text((js / "format.js").read_text())
    script = f"""
        import * as f from "./format.mjs";
        const say = (how, values) => values.map((v) => how(v));
        console.log(JSON.stringify([
            say(f.tokens, {TOKENS}), say(f.duration, {DURATIONS}), say(f.percent, {SHARES}),
            say((s) => f.ago({NOW} - s, {NOW}), {PASTS}),
            say((s) => f.until({NOW} + s, {NOW}), {DURATIONS}),
        ]));
    """
    (tmp_path / "say.mjs").write_text(script)
    said = subprocess.run(["node", tmp_path / "say.mjs"], capture_output=True, check=True)
    assert json.loads(said.stdout) == [
        [filters.tokens(n) for n in TOKENS],
        [filters.seconds(s) for s in DURATIONS],
        [filters.percent(s) for s in SHARES],
        [filters.ago(NOW - s, NOW) for s in PASTS],
        [filters.until(NOW + s, NOW) for s in DURATIONS],
    ]
