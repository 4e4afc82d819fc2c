"""What was imported last, and how it is taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from freellmapi.core.errors import GatewayError
from freellmapi.core.values import dataclass
from freellmapi.dashboard.in_force import in_force
from freellmapi.services import Services
from freellmapi.storage.config import ChainRow
from freellmapi.storage.proxies import RECORD, UnreadableProxies


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the preview. ``apply`` gives the record by which it is taken back."""

    what: str
    before: str
    after: str
    apply: Callable[[], dict[str, Any]]


Found = Iterator[Change]


@dataclass(frozen=True, slots=True)
class LastImport:
    """What can be taken back; ``at`` in epoch seconds."""

    at: float
    what: tuple[str, ...]


def remember(
    parts: Services, changes: Sequence[Change], records: Sequence[Mapping[str, Any]]
) -> None:
    """Within the transaction of the import. Records hold no key, only its number; what they hold
    of a proxy is sealed."""
    what = [change.what for change in changes]
    document = {"at": parts.clock.now(), "what": what, "records": list(records)}
    parts.config.put_last_import(document)


def last_import(parts: Services) -> LastImport | None:
    """Blocks."""
    found = parts.config.last_import()
    return LastImport(found["at"], tuple(found["what"])) if found else None


def undo(parts: Services) -> int:
    """Puts back what the last import changed, and nothing else: how much that was.

    ``GatewayError`` 409 when there is nothing to take back.
    """

    def write() -> int:
        with parts.database.as_one():
            found = parts.config.last_import()
            if not found:
                raise GatewayError(409, "There is no import to take back.", code="no_import")
            for record in reversed(found["records"]):
                _put_back(parts, record)
            parts.config.put_last_import(None)
            return len(found["records"])

    return in_force(parts, write)


def _put_back(parts: Services, record: Mapping[str, Any]) -> None:
    config, before = parts.config, record.get("before")
    if "setting" in record:
        name = record["setting"]
        config.delete_setting(name) if before is None else config.put_settings({name: before})
    elif "provider" in record:
        id = record["provider"]
        if before is None:
            config.delete_custom_provider(id)
        else:
            config.put_custom_provider(id, before)
    elif "chain" in record:
        config.put_chain(ChainRow(ref, enabled) for ref, enabled in record["chain"])
    elif "key" in record:
        parts.keys.remove(record["key"])
    elif "env_key" in record:
        gone = tuple(record["env_key"])
        config.put_env_keys(entry for entry in config.env_keys() if entry[:2] != gone)
    elif "limits" in record:
        whom = tuple(record["limits"])
        kept = [e for e in config.limits() if (e["provider"], e.get("model") or "") != whom]
        config.put_limits([*kept, before] if before else kept)
    elif RECORD in record:
        try:
            parts.proxy_store.put_back(record[RECORD])
        except UnreadableProxies as exc:
            said = (
                "The proxy from before the import cannot be read any more: nothing is taken back."
            )
            raise GatewayError(409, said, code="unreadable") from exc
