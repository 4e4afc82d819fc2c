"""Dockerfile and compose.yaml, as far as they can be checked where no Docker runs."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from freellmapi.settings import VARIABLES, Settings
from tests.e2e.server import ROOT

PINNED = re.compile(r"[a-z0-9./-]+:[0-9]+\.[0-9]+(\.[0-9]+)?-[a-z0-9-]+")
OWN_ENVIRONMENT = {"PATH", "PYTHONUNBUFFERED", "PIP_NO_CACHE_DIR", "PIP_DISABLE_PIP_VERSION_CHECK"}
NOT_OURS = {"postgres", "redis", "nginx"}


def instructions(text: str) -> list[tuple[str, str]]:
    """(name, rest) of each, comments left out and continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = [line.strip().partition(" ") for line in joined.splitlines() if line.strip()]
    return [(name.upper(), re.sub(r"\s+", " ", rest.strip())) for name, _, rest in found]


DOCKERFILE = instructions((ROOT / "Dockerfile").read_text())


def complaints(found: list[tuple[str, str]]) -> list[str]:
    """What hadolint would say, by the rules that matter here."""
    last_from = max(n for n, (name, _) in enumerate(found) if name == "FROM")
    final = found[last_from:]
    wrong = []
    for name, rest in found:
        image = rest.split(" ")[0]
        if name == "FROM" and not PINNED.fullmatch(image):
            wrong.append(f"{image} is not pinned")
        if name == "RUN" and "apt-get install" in rest:
            if "rm -rf /var/lib/apt/lists" not in rest:
                wrong.append("apt's lists stay in a layer")
            if "--no-install-recommends" not in rest:
                wrong.append("apt installs what is only recommended")
        if name == "RUN" and re.search(r"\bsudo\b|\bcd \w|curl .*\| *sh", rest):
            wrong.append(f"RUN {rest}")
        if name in ("CMD", "ENTRYPOINT") and not rest.startswith("["):
            wrong.append(f"{name} goes through a shell, which takes the signals")
        if name == "WORKDIR" and not rest.startswith("/"):
            wrong.append("WORKDIR is relative")
        if name in ("ADD", "MAINTAINER"):
            wrong.append(name)
    users = [rest for name, rest in final if name == "USER"]
    if not users or users[-1].split(":")[0] in ("root", "0"):
        wrong.append("it runs as root")
    if [name for name, _ in final].count("HEALTHCHECK") != 1:
        wrong.append("not one HEALTHCHECK")
    return wrong


def test_the_dockerfile_is_in_order() -> None:
    assert complaints(DOCKERFILE) == []


@pytest.mark.parametrize(
    "line",
    [
        "FROM python:slim",
        "FROM python",
        "USER root",
        "ADD x /x",
        "RUN apt-get install -y gcc",
        "CMD freellmapi serve",
        "HEALTHCHECK NONE",
    ],
)
def test_these_rules_find_what_they_are_for(line: str) -> None:
    assert complaints([*DOCKERFILE, *instructions(line)]) != []


def test_what_is_copied_exists_and_is_sent_to_the_builder() -> None:
    sent = [
        line.removeprefix("!").rstrip("/")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    copied = [
        path.rstrip("/")
        for name, rest in DOCKERFILE
        if name == "COPY" and not rest.startswith("--from")
        for path in rest.split(" ")[:-1]
    ]
    assert copied
    for path in copied:
        assert (ROOT / path).exists(), path
    assert sorted(copied) == sorted(sent), "all that is sent is needed, and all needed is sent"


def test_nothing_secret_is_sent_to_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert next(line for line in lines if not line.startswith("#")) == "*"
    assert not any(".env" in line or "data" in line for line in lines if line.startswith("!"))


def test_the_wheel_needs_nothing_that_is_not_sent() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    included = re.findall(r'^"([^"]+)" = "freellmapi/_assets', text, re.MULTILINE)
    sent = (ROOT / ".dockerignore").read_text()
    assert included and all(f"!{path}" in sent for path in included)


def test_the_variables_of_the_image_are_ours() -> None:
    set_there = {
        name for word, rest in DOCKERFILE if word == "ENV" for name in re.findall(r"(\w+)=", rest)
    }
    assert set_there <= set(VARIABLES) | OWN_ENVIRONMENT
    assert {"HOST", "FREELLMAPI_DATA_DIR"} <= set_there


COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name in SERVICES if name not in NOT_OURS]


def of_size(size: str) -> set[str]:
    return {name for name, service in SERVICES.items() if service["profiles"] == [size]}


def test_there_are_two_sizes() -> None:
    assert of_size("embedded") == {"gateway"}
    assert of_size("grown") == {"gateway-1", "gateway-2", "nginx", "postgres", "redis"}


@pytest.mark.parametrize("name", OURS)
def test_the_settings_in_compose_are_settings(name: str) -> None:
    environ = {k: filled(str(v)) for k, v in SERVICES[name]["environment"].items()}
    assert set(environ) <= set(VARIABLES)
    settings = Settings.from_env(environ)
    assert settings.encryption_key == "ab" * 32


@pytest.mark.parametrize("name", OURS)
def test_our_containers_may_little(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert int(service["stop_grace_period"].rstrip("s")) >= 40


@pytest.mark.parametrize("name", sorted(NOT_OURS))
def test_images_are_pinned(name: str) -> None:
    assert PINNED.fullmatch(SERVICES[name]["image"])


def test_only_nginx_is_reached_from_outside_and_only_nginx_is_believed() -> None:
    assert [name for name in of_size("grown") if "ports" in SERVICES[name]] == ["nginx"]
    (address,) = [n["ipv4_address"] for n in SERVICES["nginx"]["networks"].values()]
    for name in ("gateway-1", "gateway-2"):
        assert SERVICES[name]["environment"]["TRUSTED_PROXIES"] == address
    assert SERVICES["gateway"]["ports"] == ["127.0.0.1:3001:3001"]


def test_what_nginx_mounts_exists_and_names_the_services() -> None:
    mounted = [volume.split(":")[0] for volume in SERVICES["nginx"]["volumes"]]
    assert all((ROOT / path).is_file() for path in mounted if path.endswith(".conf"))
    text = (ROOT / "deploy" / "nginx" / "upstream.compose.conf").read_text()
    servers = re.findall(r"^\s*server ([\w-]+):3001", text, re.MULTILINE)
    assert set(servers) == {name for name in of_size("grown") if name.startswith("gateway")}


def test_no_secret_stands_in_it() -> None:
    for name in ("ENCRYPTION_KEY", "POSTGRES_PASSWORD"):
        for value in re.findall(rf"{name}: (\S+)", (ROOT / "compose.yaml").read_text()):
            assert value.startswith("${"), value


def filled(text: str) -> str:
    """As compose fills in variables, with values of our own."""
    text = re.sub(r"\$\{ENCRYPTION_KEY[^}]*\}", "ab" * 32, text)
    return re.sub(r"\$\{POSTGRES_PASSWORD[^}]*\}", "pw", text)


def test_the_health_check_is_a_program_that_compiles() -> None:
    (check,) = [rest for name, rest in DOCKERFILE if name == "HEALTHCHECK"]
    command = yaml.safe_load(check.partition("CMD ")[2])
    compile(command[2], "HEALTHCHECK", "exec")
