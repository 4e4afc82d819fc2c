"""Settings, Network: which proxy is in force, and how the owner sets another."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from freellmapi.app import build_services
from freellmapi.providers.origins import Proxies
from freellmapi.providers.outbound import UNREADABLE, WRONG_FILE
from freellmapi.router.config_file import parse_text
from freellmapi.router.settings import RouterSettings
from freellmapi.services import Services
from freellmapi.settings import Settings
from freellmapi.storage.proxies import ProxyStore
from freellmapi.storage.rotation import finish, rotate
from freellmapi.storage.tables import documents
from freellmapi.storage.vault import Vault
from tests.dashboard.conftest import CONFIG, PASSWORD, Visitor

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
        assert owner.post("/settings/proxy", **given("junk"), remove="1").status_code == 302
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


FILE_PROXY = "http://file:f1le-w0rd@file.lan:2"


class TestWithOneInTheConfigurationFile:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        assert settings.config_file is not None
        with settings.config_file.open("a") as file:
            file.write('[network]\nhttps_proxy = "env:CORP"\nno_proxy = "x y"\n')
        environ = {"CORP": FILE_PROXY, "HTTPS_PROXY": "http://env:s3cret@env.lan:1"}
        return Settings.from_env({**settings.environ, **environ})

    def test_it_stands_between_the_saved_one_and_the_environments(
        self, owner: Visitor, services: Services, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        assert services.proxies.for_origin("https", "api.example") == FILE_PROXY
        html = owner.get("/settings").get_data(as_text=True)
        assert "Set in the configuration file" in html and "file:••••@file.lan:2" in html
        assert "The environment has" in html and "HTTPS_PROXY=http://env:••••@env.lan:1" in html
        assert "Use the" not in html
        owner.send(URL, given(PROXY))
        saved_html = owner.get("/settings").get_data(as_text=True)
        assert "HTTPS_PROXY=http://file:••••@file.lan:2" in saved_html
        assert "The configuration file has" in saved_html and "The environment has" in saved_html
        assert "Use the configuration file" in saved_html
        owner.send(URL, {}, "DELETE")
        assert services.proxies.for_origin("https", "api.example") == FILE_PROXY
        for text in (html, saved_html, caplog.text):
            assert "w0rd" not in text and "s3cret" not in text

    def test_the_export_has_it_as_it_stands_there(self, owner: Visitor) -> None:
        for text in (exported(owner), exported(owner, PASSWORD)):
            assert parse_text(text).network == {
                "https_proxy": "env:CORP",
                "http_proxy": "",
                "no_proxy": "x, y",
            }
            assert bring_in(owner, text, apply=False) == {"changes": [], "passed_over": []}

    def test_it_is_read_anew_when_it_changes(
        self, owner: Visitor, services: Services, settings: Settings
    ) -> None:
        assert settings.config_file is not None
        settings.config_file.write_text(CONFIG + '[network]\nhttps_proxy = "http://b.lan:9"\n')
        for _ in range(2):
            services.reread()
        services.configuration.refresh()
        assert services.proxies.for_origin("https", "api.example") == "http://b.lan:9"
        settings.config_file.write_text(CONFIG + '[network]\nhttps_proxy = "env:NOWHERE"\n')
        for _ in range(2):
            services.reread()
        services.configuration.refresh()
        assert services.proxies.in_force is WRONG_FILE
        assert any("NOWHERE is not set" in said for said in services.configuration.problems)
        assert parse_text(exported(owner, PASSWORD)).network is None
        assert "file-is-wrong.invalid" in owner.get("/settings").get_data(as_text=True)


class TestExportAndImport:
    def test_the_export_has_it_masked_unless_the_password_is_given(
        self, owner: Visitor, services: Services
    ) -> None:
        assert parse_text(exported(owner, PASSWORD)).network is None
        owner.send(URL, given(PROXY, no_proxy="a.example b.example"))
        masked = exported(owner)
        assert parse_text(masked).network is None, "what is masked is of no use"
        assert f'# https_proxy = "{SHOWN}"' in masked and "w0rd" not in masked
        assert parse_text(exported(owner, PASSWORD)).network == {
            "https_proxy": PROXY,
            "http_proxy": "",
            "no_proxy": "a.example, b.example",
        }

    @pytest.mark.parametrize("url", ["", "http://proxy.lan:3128"])
    def test_without_a_login_it_is_whole_in_any_export(self, owner: Visitor, url: str) -> None:
        owner.send(URL, given(url))
        network = {"https_proxy": url, "http_proxy": "", "no_proxy": ""}
        assert parse_text(exported(owner)).network == network

    def test_a_user_alone_counts_as_a_login(self, owner: Visitor) -> None:
        owner.send(URL, given("http://some-token@proxy.lan:3128"))
        assert parse_text(exported(owner)).network is None

    def test_one_that_cannot_be_read_is_not_exported(
        self, owner: Visitor, services: Services
    ) -> None:
        owner.send(URL, given(PROXY))
        damage(services)
        assert parse_text(exported(owner, PASSWORD)).network is None

    def test_an_import_is_shown_without_the_password_then_in_force_at_once(
        self, owner: Visitor, services: Services, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        owner.send(URL, given(PROXY, no_proxy="a.example"))
        text = exported(owner, PASSWORD)
        assert bring_in(owner, text, apply=False) == {"changes": [], "passed_over": []}
        owner.send(URL, {}, "DELETE")
        found = bring_in(owner, text, apply=False)
        after = f"{SHOWN} for https, none for http, but not for a.example"
        assert found == {
            "changes": [{"what": "outbound proxy", "before": "none", "after": after}],
            "passed_over": [],
        }
        owner.get("/settings")
        form = owner.post("/settings/import", text=text).get_data(as_text=True)
        assert after in form
        assert saved(services) is None
        assert bring_in(owner, text) == {"applied": ["outbound proxy"]}
        assert services.proxies.for_origin("https", "api.example") == PROXY
        page = owner.get("/settings").get_data(as_text=True)
        for shown in (str(found), page, caplog.text, str(services.config.last_import())):
            assert "w0rd" not in shown

    def test_another_password_alone_is_a_change(self, owner: Visitor, services: Services) -> None:
        owner.send(URL, given(PROXY, PROXY))
        other = PROXY.replace("w0rd", "n3w")
        text = network(https_proxy=other, http_proxy=other)
        (change,) = bring_in(owner, text, apply=False)["changes"]
        assert (change["before"], change["after"]) == (SHOWN, f"{SHOWN}, with another password")
        bring_in(owner, text)
        assert saved(services) == Proxies(other, other)

    def test_a_masked_one_keeps_the_password_that_is_here(
        self, owner: Visitor, services: Services
    ) -> None:
        owner.send(URL, given(PROXY))
        bring_in(owner, network(https_proxy=SHOWN, no_proxy="a.example"))
        assert saved(services) == Proxies(None, PROXY, "a.example")

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"https_proxy": "socks5://me:hush@a"}, "network.https_proxy: This must begin with"),
            ({"http_proxy": "http://me:hush@a:0"}, "network.http_proxy: Write host and port"),
            ({"http_proxy": "http://me:••••@a:1"}, "network.http_proxy: Type the password again"),
            ({"no_proxy": "*.example"}, "network.no_proxy: *.example is no host"),
            ({"proxy": "http://me:hush@a:1"}, "network.proxy: There is no such field; there are:"),
            ({"https_proxy": "env:ENCRYPTION_KEY"}, "network.https_proxy: A variable is read from"),
        ],
    )
    def test_a_bad_one_is_named_and_nothing_else_is_lost(
        self, owner: Visitor, services: Services, fields: dict[str, str], said: str
    ) -> None:
        owner.send(URL, given(PROXY))
        text = network(**fields) + "[settings]\nmax_wait = 3\n"
        found = bring_in(owner, text, apply=False)
        assert [change["what"] for change in found["changes"]] == ["max_wait"]
        (passed_over,) = found["passed_over"]
        assert passed_over.startswith(said) and "stays as it is" in passed_over
        assert "hush" not in str(found)
        bring_in(owner, text)
        assert services.configuration.snapshot.settings.max_wait == 3
        assert saved(services) == Proxies(None, PROXY)

    @pytest.mark.parametrize("before", [None, PROXY])
    def test_it_is_taken_back_with_the_import(
        self, owner: Visitor, services: Services, before: str | None
    ) -> None:
        if before:
            owner.send(URL, given(before))
        bring_in(owner, network(https_proxy="http://b.lan:9") + "[settings]\nmax_wait = 3\n")
        assert saved(services) == Proxies(None, "http://b.lan:9")
        undone = owner.send("/api/settings/import/undo", {})
        assert undone.get_json() == {"undone": 2}
        assert saved(services) == (Proxies(None, before) if before else None)
        assert services.configuration.snapshot.settings.max_wait == RouterSettings().max_wait

    def test_it_is_taken_back_after_another_encryption_key(
        self, owner: Visitor, services: Services
    ) -> None:
        owner.send(URL, given(PROXY))
        bring_in(owner, network(https_proxy="http://b.lan:9"))
        vault = Vault(bytes.fromhex("ab" * 32))
        rotate(services.database, vault, bytes(32))
        finish(services.database)
        # A server that is started with the new key has never seen the old one.
        store = ProxyStore(services.database, Vault(bytes(32)))
        (record,) = services.config.last_import()["records"]  # type: ignore[index]
        store.put_back(record["proxy"])
        assert store.get() == {"http": None, "https": PROXY, "no_proxy": ""}

    def test_what_was_damaged_before_is_said_and_nothing_is_taken_back(
        self, owner: Visitor, services: Services
    ) -> None:
        owner.send(URL, given(PROXY))
        damage(services)
        bring_in(owner, network(https_proxy="http://b.lan:9") + "[settings]\nmax_wait = 3\n")
        refused = owner.send("/api/settings/import/undo", {})
        assert refused.status_code == 409
        assert "nothing is taken back" in refused.get_json()["error"]["message"]
        assert services.config.settings() == {"max_wait": 3}
        assert saved(services) == Proxies(None, "http://b.lan:9")


class TestUndo:
    def test_what_was_set_comes_back_with_its_password(
        self, owner: Visitor, services: Services, settings: Settings
    ) -> None:
        first = owner.send(URL, given(PROXY)).get_json()
        assert first == {"before": None}
        answer = owner.send(URL, given("http://b.lan:9"))
        before = answer.get_json()["before"]
        assert "w0rd" not in answer.get_data(as_text=True)
        assert b"w0rd" not in bytes.fromhex(before)
        assert owner.send(f"{URL}/undo", {"before": before}).status_code == 200
        assert saved(services) == Proxies(None, PROXY)
        removed = owner.send(URL, {}, "DELETE").get_json()
        assert saved(services) is None
        # Any of several workers may be asked.
        other = build_services(settings, services.clock)
        try:
            other.proxy_store.put_back(removed["before"])
        finally:
            other.close()
        assert services.configuration.refresh()
        assert saved(services) == Proxies(None, PROXY)
        owner.send(f"{URL}/undo", first)
        assert saved(services) is None

    @pytest.mark.parametrize("given_back", [{}, {"before": 3}, {"before": "00ff"}, {"before": ""}])
    def test_what_nobody_gave_is_not_put_back(
        self, owner: Visitor, services: Services, given_back: dict[str, object]
    ) -> None:
        owner.send(URL, given(PROXY))
        assert owner.send(f"{URL}/undo", given_back).status_code == 409
        assert saved(services) == Proxies(None, PROXY)

    def test_it_takes_the_token_of_the_page(self, owner: Visitor, services: Services) -> None:
        owner.send(URL, given(PROXY))
        owner.token = "another"
        assert owner.send(f"{URL}/undo", {"before": None}).status_code in (400, 403)
        assert saved(services) == Proxies(None, PROXY)


def exported(owner: Visitor, password: str = "") -> str:
    owner.get("/settings")
    if not password:
        return owner.get("/settings/export").get_data(as_text=True)
    return owner.post("/settings/export", password=password).get_data(as_text=True)


def bring_in(owner: Visitor, text: str, apply: bool = True) -> Any:
    return owner.send("/api/settings/import", {"text": text, "apply": apply}).get_json()


def network(**fields: str) -> str:
    lines = [f'{name} = "{value}"\n' for name, value in fields.items()]
    return "".join(["[network]\n", *lines])


def damage(services: Services) -> None:
    with services.database.begin() as connection:
        row = documents.c.name == "proxies"
        connection.execute(update(documents).where(row).values(document='"00ff"'))
    services.config.touch()
    services.configuration.refresh()
    assert services.proxies.in_force is UNREADABLE


def test_another_worker_follows(owner: Visitor, settings: Settings, services: Services) -> None:
    other = build_services(settings, services.clock)
    try:
        owner.send(URL, given(PROXY))
        assert other.proxies.for_origin("https", "api.example") is None
        assert other.configuration.refresh()
        assert other.proxies.for_origin("https", "api.example") == PROXY
    finally:
        other.close()
