"""Somebody logged in to the dashboard, without a browser."""

from __future__ import annotations

import re
from typing import Any

import requests

from tests.e2e.server import PATIENCE, Server


class Owner:
    """In one session, which holds at every machine of a cluster."""

    def __init__(self, machine: Server, *, makes_account: bool = True) -> None:
        self._session = requests.Session()
        self._token = ""
        path = "/setup" if makes_account else "/login"
        self._look(machine, path)
        fields = {"name": "ada", "password": "correct horse", "csrf_token": self._token}
        self._session.post(machine.url + path, data=fields, timeout=PATIENCE).raise_for_status()
        self._look(machine, "/chain")

    def chain(self, machine: Server) -> dict[str, Any]:
        """As its page has it: version, order and what is on."""
        answer = self._session.get(f"{machine.url}/api/chain", timeout=PATIENCE)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def put_first(self, machine: Server, ref: str) -> None:
        """As dragging it to the top of the chain does."""
        self._look(machine, "/chain")
        chain = self.chain(machine)
        order = [ref, *(other for other in chain["order"] if other != ref)]
        change = {"version": chain["version"], "order": order}
        self.send(machine, "PUT", "/api/chain", change).raise_for_status()

    def send(self, machine: Server, method: str, path: str, body: object) -> requests.Response:
        """As a page's script does."""
        return self._session.request(
            method,
            machine.url + path,
            json=body,
            headers={"X-CSRFToken": self._token},
            timeout=PATIENCE,
        )

    def _look(self, machine: Server, path: str) -> None:
        page = self._session.get(machine.url + path, timeout=PATIENCE)
        page.raise_for_status()
        found = re.search(r'name="csrf[-_]token" (?:content|value)="([^"]+)"', page.text)
        assert found, f"no form on {path}"
        self._token = found[1]
