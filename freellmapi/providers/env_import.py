"""Keys in a pasted ``.env``: which provider each belongs to, and what speaks against it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace

from freellmapi.core.catalog import Provider
from freellmapi.core.values import dataclass
from freellmapi.providers.env_lines import Pair, pairs
from freellmapi.providers.key_format import is_placeholder, misfit, resembled

NEW = "new"
STORED = "stored already"
REPEATED = "repeated"
UNKNOWN = "unknown variable"
MISFIT = "wrong format"
EMPTY = "no key in it"

# Names that others use beside those of the catalog.
_ALIASES: Mapping[str, str] = {
    "HUGGINGFACE_API_KEY": "huggingface",
    "HUGGINGFACE_TOKEN": "huggingface",
    "HUGGINGFACEHUB_API_TOKEN": "huggingface",
    "HUGGING_FACE_HUB_TOKEN": "huggingface",
    "HF_API_KEY": "huggingface",
    "HF_API_TOKEN": "huggingface",
    "GOOGLE_AI_API_KEY": "google",
    "GOOGLE_GENERATIVE_AI_API_KEY": "google",
    "GOOGLE_AI_STUDIO_API_KEY": "google",
    "GEMINI_KEY": "google",
    "NVIDIA_NIM_API_KEY": "nvidia",
    "NIM_API_KEY": "nvidia",
    "OPEN_ROUTER_API_KEY": "openrouter",
    "GITHUB_MODELS_TOKEN": "github",
    "KIMI_API_KEY": "moonshot",
    "GLM_API_KEY": "zhipu",
    "ZHIPUAI_API_KEY": "zhipu",
    "BIGMODEL_API_KEY": "zhipu",
    "CLOUDFLARE_API_KEY": "cloudflare",
    "CF_API_TOKEN": "cloudflare",
    "CF_ACCOUNT_ID": "cloudflare",
}
_PART = {"CF_ACCOUNT_ID": 0}


@dataclass(frozen=True, slots=True)
class Found:
    """One key of the text, and whether it would be stored (``verdict`` is ``NEW``)."""

    variable: str
    """As it stood there; empty for a key alone on its line."""
    verdict: str
    provider: str | None = None
    secret: str = field(default="", repr=False)
    reason: str = ""
    """What speaks against it; never the key."""
    label: str = ""

    @property
    def is_new(self) -> bool:
        return self.verdict == NEW


def parse_env(
    text: str,
    providers: Mapping[str, Provider],
    is_stored: Callable[[str, str], bool] = lambda provider, secret: False,
) -> tuple[Found, ...]:
    """The keys of a pasted text, in its order.

    Taken: ``KEY=value`` lines and shell exports, numbered variables and lists of several
    keys, JSON (an export of ours too), and keys alone on their lines where only one
    provider's look so. ``is_stored`` is asked with a provider and a key. ``ValueError`` when
    the text is far too long.
    """
    names = _Names(providers)
    seen: set[tuple[str, str]] = set()
    found = []
    for key in _joined(names.of(pair) for pair in pairs(text)):
        judged = _judged(key, providers, is_stored)
        pair = (judged.provider or "", judged.secret)
        if judged.is_new and pair in seen:
            judged = replace(judged, verdict=REPEATED, reason="it stands above, too")
        seen.add(pair)
        found.append(judged)
    return tuple(found)


def env_text(keys: Iterable[tuple[Provider, str]]) -> str:
    """Keys as the lines of a ``.env`` that ``parse_env`` reads back."""
    count: dict[str, int] = {}
    lines = []
    for provider, secret in keys:
        number = count[provider.id] = count.get(provider.id, 0) + 1
        suffix = "" if number == 1 else f"_{number}"
        names: Sequence[str] = provider.env_vars[:1] or (_own_name(provider.id),)
        values = [secret]
        if provider.key_fields and len(provider.env_vars) == len(provider.key_fields):
            names, values = provider.env_vars, list(provider.key_parts(secret).values())
        lines += [f"{name}{suffix}={value}" for name, value in zip(names, values, strict=True)]
    return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class _Key:
    """A pair that has found its provider, if there is one."""

    pair: Pair
    provider: Provider | None = None
    part: int | None = None
    """Which part of a key of several this is; None for a whole one."""
    suffix: str = ""


class _Names:
    """The variables that mean each provider."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._providers = providers
        self._known: dict[str, tuple[Provider, int | None]] = {}
        for provider in providers.values():
            # Without an address it takes no key: it is this machine's own.
            for name in _variants(provider) if provider.base_url else ():
                self._known.setdefault(name, (provider, None))
        for name, id in _ALIASES.items():
            if id in providers:
                part = _PART.get(name, len(providers[id].key_fields) - 1)
                self._known[name] = (providers[id], part if providers[id].key_fields else None)
        for provider in providers.values():
            for place, name in enumerate(provider.env_vars):
                self._known[name] = (provider, place if provider.key_fields else None)

    def of(self, pair: Pair) -> _Key:
        if pair.provider:
            return _Key(pair, self._providers.get(pair.provider))
        if not pair.name:
            return _Key(pair)
        name = re.sub(r"[^A-Z0-9]", "_", pair.name.upper())
        plain, suffix = _numbered(name)
        for candidate, number in ((name, ""), (plain, suffix), (plain.removesuffix("S"), suffix)):
            if candidate in self._known:
                provider, part = self._known[candidate]
                whole = provider.key_fields and ":" in pair.value
                return _Key(pair, provider, None if whole else part, number)
        return _Key(pair)


def _variants(provider: Provider) -> Iterator[str]:
    for stem in {_stem(provider.id), _stem(provider.name)}:
        yield stem
        for ending in ("API_KEY", "KEY", "API_TOKEN", "TOKEN", "APIKEY"):
            yield f"{stem}_{ending}"


def _stem(name: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")


def _own_name(id: str) -> str:
    return f"{_stem(id)}_API_KEY"


def _numbered(name: str) -> tuple[str, str]:
    """``GROQ_API_KEY_2`` as its name and its number."""
    match = re.fullmatch(r"(.*[A-Z])_?(\d{1,3})", name)
    return (match[1], match[2].lstrip("0") or "0") if match else (name, "")


def _joined(keys: Iterable[_Key]) -> Iterator[_Key]:
    """The keys, those of several variables put together where their last part stands.

    A part belongs to those with the same number, else to the only one there is.
    """
    listed = list(keys)
    parts: dict[tuple[str, int], list[_Key]] = {}
    for key in listed:
        if key.provider and key.part is not None:
            parts.setdefault((key.provider.id, key.part), []).append(key)
    for key in listed:
        if key.provider is None or key.part is None:
            yield key
        elif key.part == len(key.provider.key_fields) - 1:
            yield _completed(key, key.provider, parts)
        elif (key.provider.id, len(key.provider.key_fields) - 1) not in parts:
            # A first part alone: told of, as a key that lacks the rest.
            yield key


def _completed(
    key: _Key, provider: Provider, parts: Mapping[tuple[str, int], Sequence[_Key]]
) -> _Key:
    values = []
    for place in range(len(provider.key_fields) - 1):
        others = parts.get((provider.id, place), ())
        same = [other for other in others if other.suffix == key.suffix] or list(others)
        if len({other.pair.value for other in same}) != 1:
            return key
        values.append(same[0].pair.value)
    return replace(key, pair=replace(key.pair, value=":".join([*values, key.pair.value])))


def _judged(
    key: _Key, providers: Mapping[str, Provider], is_stored: Callable[[str, str], bool]
) -> Found:
    pair, provider = key.pair, key.provider
    found = Found(pair.name, EMPTY, provider.id if provider else None, label=pair.label)
    # An endpoint of one's own may have any key, "secret" too.
    own = provider is not None and provider.status == "user"
    if not pair.value or (not own and is_placeholder(pair.value)):
        return replace(found, reason="empty, or only standing for a key")
    if provider is None:
        provider, reason = _by_look(pair, providers)
        if provider is None:
            return replace(found, verdict=UNKNOWN, reason=reason)
    problem = misfit(pair.value, provider, providers.values())
    found = replace(found, provider=provider.id)
    if problem:
        return replace(found, verdict=MISFIT, reason=problem)
    verdict = STORED if is_stored(provider.id, pair.value) else NEW
    return replace(found, verdict=verdict, secret=pair.value)


def _by_look(pair: Pair, providers: Mapping[str, Provider]) -> tuple[Provider | None, str]:
    """The one provider whose keys look like a bare value, or why there is none.

    A named value is never guessed at: 32 letters under another name are somebody's password
    more often than a key, and would be sent to a provider.
    """
    if pair.provider:
        return None, f"there is no provider {pair.provider!r} here"
    alike = resembled(pair.value, providers.values())
    likeness = " or ".join(p.name for p in alike)
    if pair.name:
        hint = f"; its value looks like a key of {likeness}" if alike else ""
        return None, f"no provider's variable{hint}"
    if len(alike) == 1:
        return alike[0], ""
    if alike:
        return None, f"it could be a key of {likeness}: write the variable's name before it"
    return None, "it looks like no provider's key: write the variable's name before it"
