"""What people call a key or a client, where the sums only have its id."""

from __future__ import annotations

from collections.abc import Mapping

from freellmapi.core.values import dataclass

ENVIRONMENT = "env:"


@dataclass(frozen=True, slots=True)
class Names:
    """By id, as text: (name, note). The label comes first, else the mask is the name."""

    keys: Mapping[str, tuple[str, str]]
    clients: Mapping[str, tuple[str, str]]

    def key(self, id: str) -> tuple[str, str]:
        """Of a stored key, one of the environment, or none; a removed one by its number."""
        if id in self.keys:
            return self.keys[id]
        if id.startswith(ENVIRONMENT):
            return id[len(ENVIRONMENT) :], "from the environment"
        if id.isdecimal():
            return f"removed key {id}", ""
        return ("no key", "") if id in ("", "anonymous") else (id, "")

    def client(self, id: str) -> tuple[str, str]:
        """Of a client token, also one that was revoked; the empty id is none."""
        if not id:
            return "no token", ""
        return self.clients.get(id, (f"token {id}", ""))
