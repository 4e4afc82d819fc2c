"""The file that FREELLMAPI_CONFIG names: read, and each bad entry named; not yet applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from freellmapi.core.errors import SettingsError
from freellmapi.core.near import near
from freellmapi.core.values import dataclass
from freellmapi.providers.toml_file import parse_toml

PARTS = ("chain", "settings", "network", "keys", "providers", "limits")
_ENV, _ENABLED = "env:", "enabled"


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """One ``[[keys]]`` entry."""

    provider: str
    key: str = field(repr=False)
    """As written: the key itself, or ``env:NAME``."""
    label: str = ""
    enabled: bool = True

    @property
    def variable(self) -> str | None:
        """The variable of the environment that holds the key, if it is not given here."""
        return self.key.removeprefix(_ENV).strip() if self.key.startswith(_ENV) else None


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What the file says, of the right types; values are judged where they are used."""

    chain: tuple[str, ...] | None = None
    """None: the file says nothing of the chain."""
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    network: Mapping[str, Any] | None = field(default=None, repr=False)
    """The outbound proxies. None: the file says nothing of them."""
    keys: tuple[ConfigKey, ...] = ()
    """Those of ``[[keys]]``, then those that ``[[providers]]`` hold."""
    providers: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    limits: tuple[Mapping[str, Any], ...] = ()
    problems: tuple[str, ...] = ()
    """A sentence for each entry that was skipped."""


def read_config(path: Path) -> ConfigFile:
    """The file, without its bad entries; ``SettingsError`` when it is not TOML at all."""
    try:
        data = parse_toml(path.read_bytes().decode())
    except OSError as exc:
        raise SettingsError(
            f"FREELLMAPI_CONFIG names {path}, which cannot be read ({exc.strerror})."
        ) from exc
    except UnicodeDecodeError as exc:
        raise SettingsError(f"{path} (FREELLMAPI_CONFIG) is not UTF-8 text.") from exc
    except ValueError as exc:
        raise SettingsError(f"{path} (FREELLMAPI_CONFIG) is not TOML: {exc}.") from exc
    return parse_config(data)


def parse_text(text: str) -> ConfigFile:
    """The same from text; ``ValueError`` says where it ends to be TOML."""
    return parse_config(parse_toml(text))


def parse_config(data: Mapping[str, Any]) -> ConfigFile:
    """The same from what a TOML parser made of the text."""
    problems = [_unknown(name, PARTS, "part of the file") for name in data if name not in PARTS]
    providers = _entries(data, "providers", ("id",), None, problems)
    return ConfigFile(
        chain=_chain(data["chain"], problems) if "chain" in data else None,
        settings=_table(data, "settings", problems) or MappingProxyType({}),
        network=_table(data, "network", problems),
        keys=(
            *(
                _key(entry)
                for entry in _entries(
                    data, "keys", ("provider", "key"), ("label", _ENABLED), problems
                )
            ),
            *_keys_of(providers),
        ),
        providers=providers,
        limits=_entries(data, "limits", ("provider",), None, problems),
        problems=tuple(problems),
    )


def _key(entry: Mapping[str, Any]) -> ConfigKey:
    label, enabled = entry.get("label", ""), entry.get(_ENABLED, True)
    return ConfigKey(entry["provider"], entry["key"].strip(), label, enabled)


def _keys_of(providers: tuple[Mapping[str, Any], ...]) -> Iterator[ConfigKey]:
    """The keys that stand in ``[[providers]]`` entries.

    "none" says that there is none, "stored" that it stands elsewhere.
    """
    for entry in providers:
        key = entry.get("key")
        if isinstance(key, str) and key.strip() not in ("", "none", "stored"):
            yield ConfigKey(entry["id"], key.strip())


def _chain(value: object, problems: list[str]) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        problems.append('chain is not a list of models such as ["groq/openai/gpt-oss-120b"].')
        return None
    found: dict[str, None] = {}
    for place, ref in enumerate(value):
        if isinstance(ref, str) and "/" in ref.strip("/"):
            found[ref] = None
        else:
            problems.append(f"chain[{place}] is {ref!r}, not <provider>/<model id>.")
    return tuple(found)


def _table(data: Mapping[str, Any], part: str, problems: list[str]) -> Mapping[str, Any] | None:
    if part not in data:
        return None
    if isinstance(data[part], dict):
        return MappingProxyType(data[part])
    problems.append(f"{part} is not a table: write [{part}] on a line of its own.")
    return None


def _entries(
    data: Mapping[str, Any],
    part: str,
    required: tuple[str, ...],
    optional: tuple[str, ...] | None,
    problems: list[str],
) -> tuple[Mapping[str, Any], ...]:
    """The good tables of ``[[part]]``; with ``optional`` None any other field may stand there."""
    value = data.get(part, [])
    if not isinstance(value, list):
        problems.append(f"{part} is not a list of tables: write [[{part}]] above each.")
        return ()
    found = []
    for place, entry in enumerate(value):
        problem = _problem(entry, required, optional)
        if problem is None:
            found.append(MappingProxyType(entry))
        else:
            problems.append(f"{part}[{place}]{_name(entry)} {problem}")
    return tuple(found)


def _problem(
    entry: object, required: tuple[str, ...], optional: tuple[str, ...] | None
) -> str | None:
    """What is wrong with one table; never a value, because it may be a key."""
    if not isinstance(entry, dict):
        return "is not a table."
    for name in required:
        if not isinstance(entry.get(name), str) or not entry[name].strip():
            return f"has no {name}, a text in quotes."
    if optional is None:
        return None
    for name, value in entry.items():
        if name not in (*required, *optional):
            return f"has a field that is not known: {_unknown(name, (*required, *optional))}"
        if name == _ENABLED:
            if not isinstance(value, bool):
                return f"has an {name} that is neither true nor false."
        elif not isinstance(value, str):
            return f"has a {name} that is not a text in quotes."
    if entry.get(_ENABLED) is False and entry["key"].strip().startswith(_ENV):
        return "is a variable's, which is turned off by leaving the variable out."
    return None


def _name(entry: object) -> str:
    """`` (groq)``, to find the entry in the file by."""
    if not isinstance(entry, dict):
        return ""
    name = entry.get("id", entry.get("provider"))
    return f" ({name})" if isinstance(name, str) else ""


def _unknown(name: str, known: tuple[str, ...], kind: str = "field") -> str:
    meant = near(name, known, 1)
    hint = f"did you mean {meant[0]}?" if meant else f"there are: {', '.join(known)}."
    return f"{name!r} is no {kind}; {hint}"
