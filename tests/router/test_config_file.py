from __future__ import annotations

from pathlib import Path

import pytest

from freellmapi.core.errors import SettingsError
from freellmapi.router.config_file import ConfigFile, read_config

WHOLE = """
chain = ["groq/openai/gpt-oss-120b", "lab/gemma"]
[settings]
strategy = "fast"
max_wait = 3
[network]
https_proxy = "http://me:s3cret@proxy.lan:3128"
[[keys]]
provider = "groq"
key = " env:MY_KEY "
label = "main"
[[keys]]
provider = "mistral"
key = "literal"
[[providers]]
id = "lab"
base_url = "http://127.0.0.1:8000/v1"
models = [{ id = "gemma", context = 8192 }]
[[limits]]
provider = "groq"
rpm = 30
"""


def read(tmp_path: Path, text: str) -> ConfigFile:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return read_config(path)


def test_a_whole_file(tmp_path: Path) -> None:
    config = read(tmp_path, WHOLE)
    assert config.problems == ()
    assert config.chain == ("groq/openai/gpt-oss-120b", "lab/gemma")
    assert config.settings == {"strategy": "fast", "max_wait": 3}
    assert config.network == {"https_proxy": "http://me:s3cret@proxy.lan:3128"}
    assert "s3cret" not in repr(config)
    assert [(k.provider, k.label) for k in config.keys] == [("groq", "main"), ("mistral", "")]
    assert config.providers[0]["models"] == [{"id": "gemma", "context": 8192}]
    assert config.limits == ({"provider": "groq", "rpm": 30},)


def test_keys_come_from_variables_or_stand_there(tmp_path: Path) -> None:
    named, literal = read(tmp_path, WHOLE).keys
    assert named.variable == "MY_KEY"
    assert (literal.variable, literal.key) == (None, "literal")
    assert "literal" not in repr(literal)


def test_a_provider_of_ones_own_may_bring_its_key(tmp_path: Path) -> None:
    text = "".join(
        f'[[providers]]\nid = "{id}"\nkey = "{key}"\n'
        for id, key in (("a", "env:A_KEY"), ("b", "literal"), ("c", "none"), ("d", "stored"))
    )
    config = read(tmp_path, text)
    found = [(k.provider, k.variable, k.key) for k in config.keys]
    assert found == [("a", "A_KEY", "env:A_KEY"), ("b", None, "literal")]


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "") == ConfigFile()


def test_an_empty_network_is_not_the_same_as_none(tmp_path: Path) -> None:
    assert read(tmp_path, "[network]").network == {}


def test_an_empty_chain_is_not_the_same_as_none(tmp_path: Path) -> None:
    assert read(tmp_path, "chain = []").chain == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("chains = []", "'chains' is no part of the file; did you mean chain?", id="a"),
        pytest.param('chain = "x"', "chain is not a list", id="chain a text"),
        pytest.param(
            "chain = [1]", "chain[0] is 1, not <provider>/<model id>.", id="chain of ints"
        ),
        pytest.param('chain = ["gpt"]', "chain[0] is 'gpt', not <provider>", id="no provider"),
        pytest.param("settings = 1", "settings is not a table", id="settings a number"),
        pytest.param('network = "http://x"', "network is not a table", id="network a text"),
        pytest.param("keys = {}", "keys is not a list of tables", id="keys a table"),
        pytest.param('keys = ["s3cret"]', "keys[0] is not a table.", id="key a text"),
        pytest.param(
            '[[keys]]\nkey = "s3cret"', "keys[0] has no provider", id="no provider at all"
        ),
        pytest.param('[[keys]]\nprovider = "groq"', "keys[0] (groq) has no key", id="no key"),
        pytest.param(
            '[[keys]]\nprovider = "groq"\nkey = "s3cret"\nlable = "x"',
            "keys[0] (groq) has a field that is not known: 'lable' is no field; did you mean label",
            id="misspelt field",
        ),
        pytest.param(
            '[[keys]]\nprovider = "groq"\nkey = "s3cret"\nlabel = 1',
            "keys[0] (groq) has a label that is not a text",
            id="label a number",
        ),
        pytest.param(
            '[[keys]]\nprovider = "groq"\nkey = "s3cret"\nenabled = "no"',
            "keys[0] (groq) has an enabled that is neither true nor false.",
            id="enabled a text",
        ),
        pytest.param(
            '[[keys]]\nprovider = "groq"\nkey = "env:s3cret"\nenabled = false',
            "keys[0] (groq) is a variable's, which is turned off by leaving the variable out.",
            id="a variable turned off",
        ),
        pytest.param("[[providers]]\nid = 1", "providers[0] has no id", id="id a number"),
        pytest.param("[[limits]]\nrpm = 1", "limits[0] has no provider", id="limit of nobody"),
    ],
)
def test_a_bad_entry_is_named_and_skipped(tmp_path: Path, text: str, problem: str) -> None:
    config = read(tmp_path, f"{text}\n")
    assert len(config.problems) == 1
    assert config.problems[0].startswith(problem)
    assert "s3cret" not in config.problems[0]
    assert (config.keys, config.providers, config.limits) == ((), (), ())


def test_the_good_entries_beside_a_bad_one_stay(tmp_path: Path) -> None:
    config = read(tmp_path, WHOLE + "\n[[keys]]\nprovider = 1\n")
    assert len(config.keys) == 2
    assert len(config.problems) == 1


def test_a_malformed_file_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"config\.toml .*line 2"):
        read(tmp_path, "chain = []\n[settings\n")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nothing\.toml, which cannot be read"):
        read_config(tmp_path / "nothing.toml")


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"a = '\xff'")
    with pytest.raises(SettingsError, match=r"config\.toml .* not UTF-8"):
        read_config(path)
