from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from freellmapi.core.errors import SettingsError
from freellmapi.settings import Settings, checkout_root, load_dotenv_file


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = Settings.from_env({})
    root = checkout_root()
    assert root is not None
    assert settings.data_dir == root / "data"
    assert settings.database_url == f"sqlite:///{root / 'data' / 'freellmapi.db'}"
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 3001, 1)
    assert settings.encryption_key is None
    assert settings.redis_url is None
    assert (settings.log_format, settings.log_level) == ("text", "INFO")


@pytest.mark.parametrize(
    ("environ", "name", "expected"),
    [
        pytest.param({"PORT": " 8080 "}, "port", 8080, id="spaces around a number"),
        pytest.param({"PORT": ""}, "port", 3001, id="blank is unset"),
        pytest.param({"HOST": "[::1]"}, "host", "::1", id="IPv6 in brackets"),
        pytest.param({"HOST": "::"}, "host", "::", id="every IPv6 address"),
        pytest.param(
            {"FREELLMAPI_DATA_DIR": "/x"}, "database_url", "sqlite:////x/freellmapi.db", id="data"
        ),
        pytest.param({"FREELLMAPI_LOG_LEVEL": "debug"}, "log_level", "DEBUG", id="level, any case"),
        pytest.param(
            {"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:2"},
            "https_proxy",
            "http://b:2",
            id="lower-case proxy first",
        ),
        pytest.param({"HTTP_PROXY": "a:1"}, "http_proxy", "http://a:1", id="proxy without scheme"),
        pytest.param(
            {"no_proxy": "a.example, .b.example,"},
            "no_proxy",
            ("a.example", ".b.example"),
            id="no_proxy",
        ),
        pytest.param(
            {"WEB_CONCURRENCY": "4", "REDIS_URL": "redis://r"},
            "workers",
            4,
            id="workers with Redis",
        ),
        pytest.param(
            {"FREELLMAPI_GROQ_BASE_URL": "http://localhost:9/v1/"},
            "base_urls",
            {"groq": "http://localhost:9/v1"},
            id="base URL",
        ),
    ],
)
def test_reads(environ: Mapping[str, str], name: str, expected: object) -> None:
    assert getattr(Settings.from_env(environ), name) == expected


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        pytest.param({"PORT": "http"}, "PORT is 'http'; .* from 1 to 65535", id="port a word"),
        pytest.param({"PORT": "0"}, "PORT is '0'", id="port 0"),
        pytest.param({"PORT": "65536"}, "PORT is '65536'", id="port too high"),
        pytest.param({"PORT": "-1"}, "PORT is '-1'", id="negative port"),
        pytest.param({"PORT": "３００１"}, "PORT", id="digits of another script"),
        pytest.param({"HOST": "http://x"}, "HOST is 'http://x'", id="host a URL"),
        pytest.param({"HOST": "a b"}, "HOST is 'a b'", id="host with a space"),
        pytest.param({"HOST": "x:80"}, "HOST is 'x:80'", id="host with a port"),
        pytest.param({"WEB_CONCURRENCY": "0"}, "WEB_CONCURRENCY is '0'", id="no workers"),
        pytest.param({"WEB_CONCURRENCY": "2"}, "set REDIS_URL as well", id="workers, no Redis"),
        pytest.param({"REDIS_URL": "http://r"}, "REDIS_URL .* redis://", id="Redis by http"),
        pytest.param({"DATABASE_URL": "x.db"}, "DATABASE_URL .* sqlite://", id="database a path"),
        pytest.param({"FREELLMAPI_LOG_FORMAT": "xml"}, "one of text, json", id="log format"),
        pytest.param({"HTTPS_PROXY": "socks5://a:1"}, "HTTPS_PROXY", id="SOCKS proxy"),
        pytest.param({"HTTPS_PROXY": "http://a:x"}, "HTTPS_PROXY", id="proxy port a word"),
        pytest.param({"FREELLMAPI_X_BASE_URL": "ftp://a"}, "X_BASE_URL", id="base URL by ftp"),
        pytest.param({"FREELLMAPI_X_BASE_URL": "http://"}, "X_BASE_URL", id="base URL of no host"),
    ],
)
def test_refuses(environ: Mapping[str, str], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        Settings.from_env(environ)


SECRETS = {
    "ENCRYPTION_KEY": "s3cret",
    "DATABASE_URL": "postgresql://u:s3cret@h/d",
    "REDIS_URL": "redis://:s3cret@h",
    "HTTPS_PROXY": "http://u:s3cret@h:1",
    "GROQ_API_KEY": "s3cret",
}


def test_repr_shows_no_secret() -> None:
    assert "s3cret" not in repr(Settings.from_env(SECRETS))


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "HTTPS_PROXY"])
def test_a_complaint_repeats_no_password(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({name: "nonsense:s3cret" if name != "HTTPS_PROXY" else "x://u:s3cret@h"})
    assert "s3cret" not in str(caught.value)


def test_provider_keys_are_read_by_the_names_of_the_catalog() -> None:
    settings = Settings.from_env({"GROQ_API_KEY": " k ", "EMPTY": " "})
    assert settings.provider_key("GROQ_API_KEY") == "k"
    assert settings.provider_key("EMPTY") is None
    assert settings.provider_key("ABSENT") is None


def test_base_url_of_a_provider_with_a_dash() -> None:
    settings = Settings.from_env({"FREELLMAPI_MY_LAB_BASE_URL": "http://h"})
    assert settings.base_url("my-lab") == "http://h"
    assert settings.base_url("other") is None


@pytest.mark.parametrize(
    ("host", "bind", "url"),
    [
        ("127.0.0.1", "127.0.0.1:3001", "http://127.0.0.1:3001"),
        ("0.0.0.0", "0.0.0.0:3001", "http://127.0.0.1:3001"),
        ("::1", "[::1]:3001", "http://[::1]:3001"),
    ],
)
def test_bind_and_url(host: str, bind: str, url: str) -> None:
    settings = Settings.from_env({"HOST": host})
    assert (settings.bind, settings.url) == (bind, url)


def test_the_real_environment_wins_over_the_dotenv_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("\ufeffPORT=1\nHOST=h # words\nPASSWORD='a${b}c'\nBARE\n")
    found = load_dotenv_file({"PORT": "2"}, (tmp_path,))
    assert found == {"PORT": "2", "HOST": "h", "PASSWORD": "a${b}c"}


def test_the_first_dotenv_file_is_taken(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / ".env").write_text("PORT=2")
    assert load_dotenv_file({}, (tmp_path / "a", tmp_path / "b")) == {"PORT": "2"}
    assert load_dotenv_file({"A": "1"}, (tmp_path,)) == {"A": "1"}


@pytest.mark.parametrize("kind", ["a folder", "not text"])
def test_an_unreadable_dotenv_file_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ".env"
    if kind == "a folder":
        path.mkdir()
    else:
        path.write_bytes(b"A=\xff\xfe")
    with pytest.raises(SettingsError, match=str(path)):
        load_dotenv_file({}, (tmp_path,))


def test_what_reads_a_dotenv_file_is_not_loaded_without_one(tmp_path: Path) -> None:
    look = (
        "import sys; from pathlib import Path; from freellmapi.settings import load_dotenv_file;"
        f"load_dotenv_file({{}}, (Path({str(tmp_path)!r}),)); print('dotenv' in sys.modules)"
    )
    found = []
    for text in (None, "A=1"):
        if text is not None:
            (tmp_path / ".env").write_text(text)
        done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True)
        found.append(done.stdout.strip())
    assert found == ["False", "True"]


def test_the_process_environment_is_read_by_default(tmp_path: Path) -> None:
    assert load_dotenv_file(folders=(tmp_path,)) == dict(os.environ)


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", ("*",)),
        ("*", ("*",)),
        ("none", ()),
        (
            "https://chat.example, http://localhost:3000",
            ("https://chat.example", "http://localhost:3000"),
        ),
        ("http://[::1]:8080 app://obsidian.md", ("http://[::1]:8080", "app://obsidian.md")),
    ],
)
def test_origins_of_pages(text: str, origins: tuple[str, ...]) -> None:
    assert Settings.from_env({"CORS_ORIGINS": text}).cors_origins == origins


@pytest.mark.parametrize(
    "text", ["chat.example", "https://chat.example/", "https://*.example", "*, https://a.example"]
)
def test_what_is_no_origin_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="CORS_ORIGINS"):
        Settings.from_env({"CORS_ORIGINS": text})
