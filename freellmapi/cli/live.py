"""Asking the server that runs here, which alone knows its benches and what is under way."""

from __future__ import annotations

from typing import Any

import requests

from freellmapi.cli.session import Failed, Session
from freellmapi.providers.control import control_session
from freellmapi.storage.tokens import UnknownToken

ALIVE = (0.5, 2.0)
"""Seconds to connect, and of silence, until nobody is taken to listen."""
PATIENT = (2.0, 20.0)


def ask_server(session: Session, method: str, path: str, body: object = None) -> Any:
    """The server's answer as JSON; None when none runs, or it is not of this database.

    Raises ``Failed`` with the server's own words when it refuses.
    """
    url = session.settings.url
    with control_session() as http:
        try:
            if not _is_alive(http, url):
                return None
            token = session.tokens.reveal()
            answer = http.request(
                method,
                url + path,
                json=body,
                headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
                timeout=PATIENT,
                allow_redirects=False,
            )
            return _json(answer)
        except (requests.RequestException, ValueError, UnknownToken):
            return None


def _is_alive(http: requests.Session, url: str) -> bool:
    answer = http.get(f"{url}/healthz", timeout=ALIVE, allow_redirects=False)
    said = answer.json() if answer.status_code == 200 else None
    return isinstance(said, dict) and said.get("status") == "ok" and "version" in said


def _json(answer: requests.Response) -> Any:
    """None from a server that does not know our key, or not yet this question."""
    found = answer.json()
    if answer.status_code == 200:
        return found
    error = found.get("error") if isinstance(found, dict) else None
    if answer.status_code == 401 or not isinstance(error, dict) or error.get("code") == "not_found":
        return None
    raise Failed(str(error.get("message")))
