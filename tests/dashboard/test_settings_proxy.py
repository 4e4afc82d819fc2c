"""Settings, Network: which proxy is in force, and how the owner sets another."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from freellmapi.app import build_services
from freellmapi.providers.origins import Proxies
from freellmapi.services import Services
from freellmapi.settings import Settings
from tests.dashboard.conftest import Visitor

URL = "/api/settings/proxy"
PROXY = "http://me:p%40ss-w0rd@proxy.lan:3128"
SHOWN = "http://me:••••@proxy.lan:3128"


def given(https: str = "", http: str = "", no_proxy: str = "") -> dict[str, str]:
    return {"https_proxy": https, "http_proxy": http, "no_proxy": no_proxy}


def saved(services: Services) -> Proxies | None:
    return services.proxies.in_force if services.proxies.is_saved else None


class TestWithoutOneInTheEnvironment:
    def test_it_is_in_force_at_once_and_shown_without_its_password(
        self, owner: Visitor, services: Services, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        assert "No proxy: calls go out directly" in owner.get("/settings").get_data(as_text=True)
        assert owner.send(URL, given(PROXY, no_proxy="a.example b.example")).status_code == 200
        assert saved(services) == Proxies(None, PROXY, "a.example,b.example")
        assert services.proxies.for_origin("https", "api.example") == PROXY
        html = owner.get("/settings").get_data(as_text=True)
        assert "Calls go through a proxy" in html and "Set here" in html
        assert f'value="{SHOWN}"' in html and 'value="a.example, b.example"' in html
        for text in (html, caplog.text, owner.get("/settings/export").get_data(as_text=True)):
            assert "w0rd" not in text

    def test_the_password_stays_while_it_is_not_typed(
        self, owner: Visitor, services: Services
    ) -> None:
        owner.send(URL, given(PROXY))
        assert owner.send(URL, given(SHOWN, SHOWN, "a.example")).status_code == 200
        assert saved(services) == Proxies(PROXY, PROXY, "a.example")

    @pytest.mark.parametrize("other", ["me:••••@other.lan:3128", "you:••••@proxy.lan:3128"])
    def test_the_password_goes_to_no_other_proxy(
        self, owner: Visitor, services: Services, other: str
    ) -> None:
        owner.send(URL, given(PROXY))
        error = owner.send(URL, given(f"http://{other}")).get_json()["error"]
        assert error["param"] == "https_proxy"
        assert "Type the password again" in error["message"]
        assert saved(services) == Proxies(None, PROXY)

    @pytest.mark.parametrize(
        ("fields", "name", "said"),
        [
            (given(https="socks5://me:hush@a"), "https_proxy", "begin with http://"),
            (given(http="http://me:hush@a:port"), "http_proxy", "host and port"),
            (given(no_proxy="10.0.0.0/8"), "no_proxy", "10.0.0.0/8 is no host"),
            (given(https="http://" + "a" * 2_000), "https_proxy", "longer than"),
            ({"http_proxy": 3}, "http_proxy", "no text"),
        ],
    )
    def test_what_cannot_be_is_said_at_its_field(
        self,
        owner: Visitor,
        services: Services,
        fields: dict[str, object],
        name: str,
        said: str,
    ) -> None:
        answer = owner.send(URL, fields)
        error = answer.get_json()["error"]
        assert (answer.status_code, error["param"]) == (422, name)
        assert said in error["message"] and "hush" not in error["message"]
        assert saved(services) is None

    def test_it_takes_the_token_of_the_page(self, owner: Visitor, services: Services) -> None:
        owner.token = "another"
        assert owner.send(URL, given(PROXY)).status_code in (400, 403)
        assert saved(services) is None

    def test_without_a_script_a_wrong_one_stays_in_its_field(
        self, owner: Visitor, services: Services
    ) -> None:
        owner.get("/settings")
        wrong = given("ftp://proxy.lan", "http://b.lan:1")
        answer = owner.post("/settings/proxy", **wrong)
        html = answer.get_data(as_text=True)
        assert answer.status_code == 422
        assert 'value="ftp://proxy.lan"' in html and 'value="http://b.lan:1"' in html
        assert "begin with http://" in html
        assert owner.post("/settings/proxy", **given(PROXY)).status_code == 302
        assert saved(services) == Proxies(None, PROXY)
        owner.get("/settings")
        assert owner.post("/settings/proxy", **given("junk"), reset="1").status_code == 302
        assert saved(services) is None


class TestWithOneInTheEnvironment:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, https_proxy="http://env:s3cret@env.lan:1", no_proxy=("x", "y"))

    def test_the_environments_is_the_default_and_comes_back(
        self, owner: Visitor, services: Services
    ) -> None:
        html = owner.get("/settings").get_data(as_text=True)
        assert "From the environment" in html and 'value="http://env:••••@env.lan:1"' in html
        assert "Use the environment" not in html and "s3cret" not in html
        owner.send(URL, given())
        assert saved(services) == Proxies(), "all blank is no proxy at all"
        html = owner.get("/settings").get_data(as_text=True)
        assert "No proxy: calls go out directly" in html
        assert "HTTPS_PROXY=http://env:••••@env.lan:1" in html and "NO_PROXY=x, y" in html
        assert owner.send(URL, {}, "DELETE").status_code == 200
        assert services.proxies.for_origin("https", "api.example") == "http://env:s3cret@env.lan:1"

    def test_its_password_can_be_kept_by_saving_what_is_shown(
        self, owner: Visitor, services: Services
    ) -> None:
        owner.send(URL, given("http://env:••••@env.lan:1", no_proxy="z"))
        assert saved(services) == Proxies(None, "http://env:s3cret@env.lan:1", "z")


def test_another_worker_follows(owner: Visitor, settings: Settings, services: Services) -> None:
    other = build_services(settings, services.clock)
    try:
        owner.send(URL, given(PROXY))
        assert other.proxies.for_origin("https", "api.example") is None
        assert other.configuration.refresh()
        assert other.proxies.for_origin("https", "api.example") == PROXY
    finally:
        other.close()
