"""A provider's file is read strictly: what is wrong is named by file and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from freellmapi.core.catalog import KeyProbe, Model, Provider
from freellmapi.core.limits import Limits
from freellmapi.providers.catalog_file import family_of, parse_provider
from freellmapi.providers.toml_file import read_kept

GOOD = """
id = "lab"
name = "Lab"
status = "live"
base_url = "https://lab.example/v1/"
free_tier = "all of it"
source = "https://lab.example/docs"
checked = 2026-11-22
"""


def read(folder: Path, text: str) -> tuple[Provider, tuple[Model, ...]]:
    path = folder / "lab.toml"
    path.write_text(text)
    return parse_provider(read_kept(path), path.name)


def test_a_small_file_is_enough(tmp_path: Path) -> None:
    provider, models = read(tmp_path, GOOD)
    assert (provider.id, provider.base_url) == ("lab", "https://lab.example/v1")
    assert provider.checked == "2026-11-22"
    assert models == ()


def test_models_take_the_defaults_cap_by_cap(tmp_path: Path) -> None:
    _, (one, two) = read(
        tmp_path,
        GOOD
        + """
        [model_defaults]
        confidence = "guess"
        limits = { rpm = 5, rpd = 100 }
        [[models]]
        id = "a/Big-1:free"
        limits = { rpd = 7 }
        [[models]]
        id = "small"
        source = "elsewhere"
        confidence = "official"
        """,
    )
    assert (one.limits, one.confidence) == (Limits(rpm=5, rpd=7), "guess")
    assert (one.source, one.family) == ("https://lab.example/docs", "big-1")
    assert (two.limits.rpd, two.source, two.confidence) == (100, "elsewhere", "official")


def test_quirks_and_probe_become_their_types(tmp_path: Path) -> None:
    provider, (model,) = read(
        tmp_path,
        GOOD
        + """
        [quirks]
        drop = ["n"]
        clamp = { temperature = [0, 1.5] }
        flags = ["no_stream"]
        [probe]
        path = "https://lab.example/key"
        valid = [200]
        invalid_markers = ["nope"]
        [[models]]
        id = "m"
        quirks = { drop = ["seed"] }
        """,
    )
    assert provider.quirks.drop == {"n"}
    assert provider.quirks.clamp == {"temperature": (0, 1.5)}
    assert provider.probe == KeyProbe(
        "https://lab.example/key", valid=frozenset({200}), invalid_markers=("nope",)
    )
    assert model.quirks == {"drop": frozenset({"seed"})}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("id = ", r"lab\.toml: not TOML"),
        (GOOD.replace("checked = 2026-11-22", ""), r"lab\.toml: 'checked' is missing"),
        (GOOD.replace("source =", "sauce ="), r"lab\.toml: unknown field 'sauce'"),
        (GOOD.replace('source = "https://lab.example/docs"', ""), "'source' is missing"),
        (GOOD.replace("2026-11-22", '"2026-11-22"'), r"lab\.toml\.checked: expected a date"),
        (GOOD.replace('"https://lab.example/v1/"', "7"), r"lab\.toml\.base_url: expected a text"),
        (GOOD.replace('"live"', '"alive"'), r"lab\.toml\.status: expected one of live,"),
        (GOOD.replace('"lab"', '"other"'), r"lab\.toml\.id: the file of 'other' is other\.toml"),
        (GOOD + 'reset_zone = "Mars/Base"', r"reset_zone: unknown time zone 'Mars/Base'"),
        (GOOD + "key_pattern = '('", r"key_pattern: not a regular expression"),
        (GOOD + 'keyless = "yes"', r"keyless: expected true or false"),
        (GOOD + "first_byte_timeout = -1", r"first_byte_timeout: expected a number of seconds"),
        (GOOD + "[account_limits]\nrpx = 1", r"lab\.toml\.account_limits: unknown field 'rpx'"),
        (GOOD + '[quirks]\nflags = ["no_steam"]', r"quirks\.flags: expected one of"),
        (GOOD + "[quirks.clamp]\ntop_p = [1, 0]", r"quirks\.clamp: expected \[lowest"),
        (GOOD + "[quirks.clamp]\ntop_p = [true, 2]", r"quirks\.clamp: expected \[lowest"),
        (GOOD + "[probe]\nvalid = [200]", r"lab\.toml\.probe: 'path' is missing"),
        (GOOD + '[probe]\npath = "/m"\nvalid = [20]', r"probe\.valid: expected an HTTP status"),
        (GOOD + '[ratelimit_headers]\nx = "limit_rph"', r"ratelimit_headers: expected limit_"),
        (GOOD + '[ratelimit_headers]\nX-A = "limit_rpd"', r"expected a header's name in lower"),
        (GOOD + '[[models]]\nname = "x"', r"lab\.toml\.models\[\?\]: 'id' is missing"),
        (GOOD + '[[models]]\nid = "m"\nlimits = { rpm = "1" }', r"models\[m\]\.limits\.rpm: exp"),
        (GOOD + '[[models]]\nid = "m"\nquirks = { dorp = [] }', r"models\[m\]\.quirks: unknown"),
        (GOOD + '[[models]]\nid = "m"\n' * 2, r"lab\.toml\.models\[m\]: listed twice"),
        (GOOD + '[model_defaults]\nid = "m"', r"lab\.toml\.model_defaults: unknown field 'id'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("model_id", "family"),
    [
        ("gemma-3-270m", "gemma-3-270m"),
        ("openai/gpt-oss-120b:free", "gpt-oss-120b"),
        ("@cf/qwen/QwQ-32B", "qwq-32b"),
        ("gpt-oss:20b", "gpt-oss-20b"),
    ],
)
def test_a_family_is_named_from_an_id(model_id: str, family: str) -> None:
    assert family_of(model_id) == family
