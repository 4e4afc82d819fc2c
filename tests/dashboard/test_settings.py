"""The page Settings: what it saves, shows, gives out and takes in."""

from __future__ import annotations

import sqlite3
from dataclasses import fields
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from freellmapi.dashboard.pages import settings_about as about
from freellmapi.dashboard.pages.settings_words import FIELDS, GROUPS
from freellmapi.router.config_file import parse_text
from freellmapi.router.settings import RouterSettings
from freellmapi.services import Services
from freellmapi.storage.config import ChainRow
from tests.dashboard.conftest import PASSWORD, Visitor

SECRET = "gsk_" + "a1B2" * 13


def settings_of(services: Services) -> RouterSettings:
    return services.configuration.snapshot.settings


def endpoint(exported: str, id: str) -> dict[str, Any]:
    return next(dict(p) for p in parse_text(exported).providers if p["id"] == id)


def test_every_setting_of_the_router_is_on_the_page(owner: Visitor) -> None:
    names = {field.name for field in fields(RouterSettings)}
    assert {field.name for field in FIELDS} == names
    grouped = [name for _, group in GROUPS for name in group]
    assert sorted([*grouped, "log_retention_days"]) == sorted(names)
    html = owner.get("/settings").get_data(as_text=True)
    assert all(f'data-setting="{name}"' in html for name in names)


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("max_wait", "3.5", 3.5),
        ("max_attempts", " 7 ", 7),
        ("hedging", "true", True),
        ("strategy", "fast", "fast"),
        ("hedging_share", 0.5, 0.5),
    ],
)
def test_a_setting_is_in_force_at_once_and_can_be_set_back(
    owner: Visitor, services: Services, name: str, given: object, value: object
) -> None:
    url = f"/api/settings/values/{name}"
    answer = owner.send(url, {"value": given}).get_json()
    assert answer["before"] is None
    assert answer["row"]["origin"] == "here"
    assert getattr(settings_of(services), name) == value
    answer = owner.send(url, {}, "DELETE").get_json()
    assert (answer["before"], answer["row"]["origin"]) == (value, "default")
    assert settings_of(services) == RouterSettings()


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("max_wait", "-1", "From 0 to 1,000,000 seconds."),
        ("max_wait", "soon", "not a number"),
        ("connect_timeout", "0", "More than 0"),
        ("max_attempts", "2.5", "from 1 to 100"),
        ("hedging_share", "nan", "share"),
        ("strategy", "lucky", "one of"),
        ("hedging", None, "true or false"),
    ],
)
def test_what_cannot_be_is_said_at_the_field(
    owner: Visitor, services: Services, name: str, given: object, said: str
) -> None:
    answer = owner.send(f"/api/settings/values/{name}", {"value": given})
    error = answer.get_json()["error"]
    assert (answer.status_code, error["param"]) == (422, name)
    assert said in error["message"]
    assert settings_of(services) == RouterSettings()


def test_an_unknown_setting_is_not_found(owner: Visitor) -> None:
    assert owner.send("/api/settings/values/luck", {"value": 1}).status_code == 404


def test_without_a_script_a_wrong_value_stays_in_its_field(owner: Visitor) -> None:
    owner.get("/settings")
    answer = owner.post("/settings/values/max_wait", value="soon")
    html = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert 'value="soon"' in html
    assert "not a number" in html


def test_without_a_script_a_switch_is_saved(owner: Visitor, services: Services) -> None:
    owner.get("/settings")
    answer = owner.client.post(
        "/settings/values/hedging",
        data={"csrf_token": owner.token, "value": ["false", "true"]},
        headers={"Accept": "text/html"},
    )
    assert answer.status_code == 302
    assert settings_of(services).hedging
    owner.post("/settings/values/hedging", value="false")
    assert not settings_of(services).hedging
    owner.post("/settings/values/hedging", value="false", reset="1")
    assert services.config.settings() == {}


def test_a_token_is_shown_once_used_and_revoked(owner: Visitor, services: Services) -> None:
    token = owner.send("/api/settings/tokens", {"name": " laptop "}).get_json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    html = owner.get("/settings").get_data(as_text=True)
    assert "laptop" in html and "Never used" in html and token not in html
    assert owner.client.get("/v1/models", headers=headers).status_code == 200
    assert "Last used" in owner.get("/settings/tokens").get_data(as_text=True)
    (id,) = [t.id for t in services.tokens.live() if t.name == "laptop"]
    assert owner.send(f"/api/settings/tokens/{id}/revoke", {}).status_code == 200
    assert owner.client.get("/v1/models", headers=headers).status_code == 401
    assert owner.send(f"/api/settings/tokens/{id}/revoke", {}).status_code == 404


@pytest.mark.parametrize("name", ["", "unified", "x" * 61, "a\nb"])
def test_a_name_that_will_not_do_is_said_at_its_field(owner: Visitor, name: str) -> None:
    answer = owner.send("/api/settings/tokens", {"name": name})
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (422, "name")


def test_the_unified_key_is_not_revoked_here(owner: Visitor, services: Services) -> None:
    (unified,) = services.tokens.live()
    assert owner.send(f"/api/settings/tokens/{unified.id}/revoke", {}).status_code == 409


def test_without_a_script_revoking_is_asked_twice(owner: Visitor, services: Services) -> None:
    owner.get("/settings")
    made = owner.post("/settings/tokens", name="ci").get_data(as_text=True)
    assert services.tokens.reveal("ci") in made
    id = services.tokens.live()[-1].id
    asked = owner.post(f"/settings/tokens/{id}/revoke").get_data(as_text=True)
    assert "Revoke for good" in asked
    assert len(services.tokens.live()) == 2
    owner.post(f"/settings/tokens/{id}/revoke", sure="yes")
    assert len(services.tokens.live()) == 1


def test_the_export_is_masked_unless_the_password_is_given(
    owner: Visitor, services: Services
) -> None:
    services.keys.add("groq", SECRET, "main")
    owner.send("/api/settings/values/max_wait", {"value": "3"})
    masked = owner.get("/settings/export").get_data(as_text=True)
    file = parse_text(masked)
    assert file.settings == {"max_wait": 3}
    assert file.keys == () and SECRET not in masked and "groq" in masked
    assert [p["id"] for p in file.providers] == ["lab"]
    assert file.problems == ()
    owner.get("/settings")
    refused = owner.post("/settings/export", password="wrong horse")
    assert refused.status_code == 403
    assert SECRET not in refused.get_data(as_text=True)
    full = owner.post("/settings/export", password=PASSWORD).get_data(as_text=True)
    assert [(k.provider, k.key, k.label) for k in parse_text(full).keys] == [
        ("groq", SECRET, "main")
    ]


def test_headers_of_an_endpoint_are_masked_as_keys_are(owner: Visitor, services: Services) -> None:
    headers = {"X-Den-Access": "s3same-0pen", "HTTP-Referer": "https://den.test"}
    den = {"base_url": "https://den.test/v1", "models": [{"id": "m"}], "headers": headers}
    services.config.put_custom_provider("den", den)
    masked = owner.get("/settings/export").get_data(as_text=True)
    assert "X-Den-Access" in masked and "s3same" not in masked
    assert "headers" not in endpoint(masked, "den")
    full = owner.post("/settings/export", password=PASSWORD).get_data(as_text=True)
    assert endpoint(full, "den")["headers"] == headers


def test_what_was_exported_changes_nothing_when_it_is_imported(
    owner: Visitor, services: Services
) -> None:
    services.keys.add("groq", SECRET)
    services.configuration.refresh()
    owner.get("/settings")
    full = owner.post("/settings/export", password=PASSWORD).get_data(as_text=True)
    answer = owner.send("/api/settings/import", {"text": full}).get_json()
    assert answer == {"changes": [], "passed_over": []}


IMPORTED = f"""
chain = ["box/m", "lab/alpha", "nobody/knows"]
[settings]
max_wait = 3
strategy = "lucky"
[[keys]]
provider = "groq"
key = "{SECRET}"
[[providers]]
id = "box"
base_url = "http://127.0.0.1:9/v1"
key = "none"
models = [{{ id = "m", context = 4096 }}]
"""


def test_an_import_is_shown_first_and_then_made(owner: Visitor, services: Services) -> None:
    found = owner.send("/api/settings/import", {"text": IMPORTED}).get_json()
    whats = [change["what"] for change in found["changes"]]
    assert whats == ["endpoint box", "key of groq", "chain", "max_wait"]
    assert SECRET not in str(found)
    assert len(found["passed_over"]) == 2
    assert settings_of(services) == RouterSettings()
    owner.send("/api/settings/import", {"text": IMPORTED, "apply": True})
    snapshot = services.configuration.snapshot
    assert snapshot.settings.max_wait == 3
    assert [e.model.ref for e in snapshot.chain if e.enabled] == ["box/m", "lab/alpha"]
    assert services.keys.find("groq", SECRET) is not None
    again = owner.send("/api/settings/import", {"text": IMPORTED}).get_json()
    assert again["changes"] == []


def test_an_import_is_taken_back_as_a_whole_and_nothing_else_is(
    owner: Visitor, services: Services
) -> None:
    assert owner.send("/api/settings/import/undo", {}).status_code == 409
    owner.send("/api/settings/values/max_wait", {"value": 4})
    chain = services.config.chain()
    owner.send("/api/settings/import", {"text": IMPORTED, "apply": True})
    owner.send("/api/settings/values/patience", {"value": 2})
    page = owner.get("/settings").get_data(as_text=True)
    assert "4 changes were imported" in page
    assert SECRET not in str(services.config.last_import())
    assert owner.send("/api/settings/import/undo", {}).get_json() == {"undone": 4}
    assert services.config.settings() == {"max_wait": 4, "patience": 2}
    assert services.config.chain() == chain
    assert services.config.custom_providers() == {}
    assert services.keys.all() == ()
    assert owner.send("/api/settings/import/undo", {}).status_code == 409


def test_an_import_that_fails_on_its_way_leaves_nothing_behind(
    owner: Visitor, services: Services
) -> None:
    database = services.database
    with database.begin() as connection:
        connection.exec_driver_sql(
            # Two settings are one too many.
            "CREATE UNIQUE INDEX refuse ON settings ((length(name) * 0))"
        )
    text = IMPORTED.replace("lucky", "fast")
    assert owner.send("/api/settings/import", {"text": text, "apply": True}).status_code >= 500
    assert services.config.custom_providers() == {}
    assert services.keys.all() == ()
    assert services.config.chain() == ()
    assert services.config.last_import() is None


CAPS = """
[[limits]]
provider = "lab"
rpd = 50
[[limits]]
provider = "lab"
model = "alpha"
rpm = 5
[[limits]]
provider = "nobody"
rpm = 5
[[keys]]
provider = "lab"
key = "env:LAB_ONE"
label = "one"
[[keys]]
provider = "lab"
key = "env:LAB_TWO"
[[keys]]
provider = "lab"
key = "env:ENCRYPTION_KEY"
"""


def test_limits_and_keys_of_the_environment_are_imported_too(
    owner: Visitor, services: Services
) -> None:
    found = owner.send("/api/settings/import", {"text": CAPS}).get_json()
    assert [(c["what"], c["after"]) for c in found["changes"]] == [
        ("key of lab", "env:LAB_ONE, which is not set yet"),
        ("key of lab", "env:LAB_TWO, which is not set yet"),
        ("limits of lab", "rpd 50"),
        ("limits of lab/alpha", "rpm 5"),
    ]
    said = " ".join(found["passed_over"])
    assert "ENCRYPTION_KEY is not named after lab" in said
    assert "no provider 'nobody'" in said
    owner.send("/api/settings/import", {"text": CAPS, "apply": True})
    snapshot = services.configuration.snapshot
    assert snapshot.catalog.providers["lab"].account_limits.rpd == 50
    assert snapshot.catalog.by_ref["lab/alpha"].limits.rpm == 5
    assert [key.id for key in snapshot.keys["lab"]] == ["env:LAB_ONE", "env:LAB_TWO"]
    assert owner.send("/api/settings/import", {"text": CAPS}).get_json()["changes"] == []
    exported = parse_text(owner.get("/settings/export").get_data(as_text=True))
    assert [dict(entry) for entry in exported.limits] == [
        {"provider": "lab", "rpd": 50},
        {"provider": "lab", "model": "alpha", "rpm": 5},
    ]
    assert [key.key for key in exported.keys] == ["env:LAB_ONE", "env:LAB_TWO"]
    assert "rpd 50" in owner.get("/settings").get_data(as_text=True)
    owner.send("/api/settings/import/undo", {})
    assert (services.config.limits(), services.config.env_keys()) == ((), ())


def test_a_key_that_is_turned_off_stays_so(owner: Visitor, services: Services) -> None:
    services.keys.add("groq", SECRET, enabled=False)
    owner.get("/settings")
    full = owner.post("/settings/export", password=PASSWORD).get_data(as_text=True)
    (stored,) = services.keys.all()
    services.keys.remove(stored.id)
    (change,) = owner.send("/api/settings/import", {"text": full}).get_json()["changes"]
    assert change["after"].endswith(", turned off")
    owner.send("/api/settings/import", {"text": full, "apply": True})
    (stored,) = services.keys.all()
    assert not stored.enabled and services.keys.secret(stored) == SECRET


def test_the_export_has_the_models_that_are_on_and_no_others(
    owner: Visitor, services: Services
) -> None:
    services.config.put_chain([ChainRow("lab/alpha", False)])
    endpoint = {"base_url": "http://127.0.0.1:9/v1", "key": "none", "models": [{"id": "m"}]}
    services.config.put_custom_provider("late", endpoint)
    services.configuration.refresh()
    chain = parse_text(owner.get("/settings/export").get_data(as_text=True)).chain
    assert chain and "late/m" in chain and "lab/alpha" not in chain


def test_a_model_that_the_chain_beside_it_leaves_out_is_off(
    owner: Visitor, services: Services
) -> None:
    text = IMPORTED.replace('{ id = "m", context', '{ id = "other" }, { id = "m", context')
    owner.send("/api/settings/import", {"text": text, "apply": True})
    on = {e.model.ref: e.enabled for e in services.configuration.snapshot.chain}
    assert (on["box/m"], on["box/other"]) == (True, False)


def test_an_endpoint_that_wants_a_key_wants_it_after_an_import_too(
    owner: Visitor, services: Services
) -> None:
    endpoint = {"base_url": "http://10.0.0.7/v1", "key": "stored", "models": [{"id": "m"}]}
    services.config.put_custom_provider("box", endpoint)
    text = owner.get("/settings/export").get_data(as_text=True)
    services.config.delete_custom_provider("box")
    services.configuration.refresh()
    owner.send("/api/settings/import", {"text": text, "apply": True})
    assert not services.configuration.snapshot.catalog.providers["box"].keyless
    assert services.keys.all() == (), "it is no key itself"


def test_a_file_is_taken_without_a_script(owner: Visitor, services: Services) -> None:
    owner.get("/settings")
    form = {
        "csrf_token": owner.token,
        "file": (BytesIO(b"\xef\xbb\xbf[settings]\nmax_wait = 3\n"), "a.toml"),
    }
    shown = owner.client.post("/settings/import", data=form).get_data(as_text=True)
    assert "max_wait" in shown and "Nothing would change" not in shown
    form = {"csrf_token": owner.token, "file": (BytesIO(b"\xff\xfe\x00"), "a.toml")}
    refused = owner.client.post("/settings/import", data=form)
    assert refused.status_code == 422
    assert "not text in UTF-8" in refused.get_data(as_text=True)
    owner.post("/settings/import", text="[settings]\nmax_wait = 3\n", sure="yes")
    assert settings_of(services).max_wait == 3
    owner.post("/settings/import/undo")
    assert settings_of(services) == RouterSettings()


def test_what_is_no_toml_is_said_at_the_text(owner: Visitor) -> None:
    answer = owner.send("/api/settings/import", {"text": "chain = ["})
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (422, "text")


def test_a_backup_is_a_whole_database_for_who_knows_the_password(
    owner: Visitor, services: Services, tmp_path: Path
) -> None:
    services.keys.add("groq", SECRET)
    owner.get("/settings")
    if not services.database.is_sqlite:
        assert 'id="backup-section"' not in owner.get("/settings").get_data(as_text=True)
        assert owner.post("/settings/backup", password=PASSWORD).status_code == 409
        return
    assert owner.post("/settings/backup", password="wrong horse").status_code == 403
    form = {"csrf_token": owner.token, "password": PASSWORD}
    answer = owner.client.post("/settings/backup", data=form)
    copied = answer.get_data()
    answer.close()
    assert answer.content_length == len(copied)
    assert SECRET.encode() not in copied
    path = tmp_path / "copy.db"
    path.write_bytes(copied)
    database = sqlite3.connect(path)
    assert database.execute("SELECT provider FROM provider_keys").fetchall() == [("groq",)]
    database.close()


def test_a_program_takes_no_backup(owner: Visitor, services: Services) -> None:
    headers = {"Authorization": f"Bearer {services.tokens.reveal()}"}
    refused = owner.client.post(
        "/api/settings/confirm", json={"password": PASSWORD}, headers=headers
    )
    assert refused.status_code == 403


def test_the_theme_is_kept_without_a_script(owner: Visitor) -> None:
    owner.get("/settings")
    owner.post("/settings/theme", theme="dark")
    assert 'data-theme="dark"' in owner.get("/settings").get_data(as_text=True)
    owner.post("/settings/theme", theme="system")
    assert 'data-theme="dark"' not in owner.get("/settings").get_data(as_text=True)


def test_libraries_are_named_with_their_licences(owner: Visitor) -> None:
    root = Path(__file__).parent.parent.parent
    found = about.libraries(root / "static")
    assert [lib.name for lib in found[:2]] == ["chart.js", "sortablejs"]
    assert all(lib.licence and lib.version != "not installed" for lib in found)
