"""Streamed tool calls brought to OpenAI's form: indexed, named once, arguments as text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from freellmapi.core.values import dataclass
from freellmapi.providers.answers import arguments_text

_MORE = {"index", "function"}
_ARGUMENTS = {"arguments"}


@dataclass(slots=True)
class _Call:
    id: str
    name: str


class ToolDeltas:
    """The calls of one stream so far.

    Providers leave out ``index`` (the position or the id then tells which call is meant),
    give every parallel call index 0 (a new id with a name is then a new call), or repeat
    id and name, which the official client would join into ``"call_1call_1"``.
    """

    __slots__ = ("_calls", "_indexes", "_new_id")

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._calls: list[_Call] = []
        self._indexes: dict[int, int] = {}
        self._new_id = new_id

    def __len__(self) -> int:
        return len(self._calls)

    def go_on(self, calls: Any) -> bool:
        """Whether these are more arguments of one known call, and nothing that needs changing."""
        if type(calls) is not list or len(calls) != 1:
            return False
        call = calls[0]
        if self._indexes or type(call) is not dict or call.keys() != _MORE:
            return False
        index, function = call["index"], call["function"]
        return (
            type(index) is int
            and 0 <= index < len(self._calls)
            and type(function) is dict
            and function.keys() == _ARGUMENTS
            and type(function["arguments"]) is str
        )

    def settle(self, delta: dict[str, Any]) -> bool:
        """Put ``delta["tool_calls"]`` in order; whether anything had to change."""
        given = delta["tool_calls"]
        if not isinstance(given, list):
            given = [given]
        calls = [call for call in given if isinstance(call, dict)]
        changed = bool(calls != delta["tool_calls"])
        for position, call in enumerate(calls):
            changed = self._settle_one(call, position) or changed
        if changed:
            delta["tool_calls"] = calls
        return changed

    def _settle_one(self, call: dict[str, Any], position: int) -> bool:
        changed = _settle_function(call)
        index = self._known(call, position)
        if index is None:
            index = len(self._calls)
            changed = self._begin(call) or changed
        else:
            changed = self._go_on(call, self._calls[index]) or changed
        if call.get("index") != index:
            if isinstance(call.get("index"), int):
                self._indexes[call["index"]] = index
            call["index"] = index
            changed = True
        return changed

    def _known(self, call: dict[str, Any], position: int) -> int | None:
        """Which call so far is meant; None: a new one."""
        id, name, index = call.get("id"), call["function"].get("name"), call.get("index")
        for at, known in enumerate(self._calls):
            if id and known.id == id:
                return at
        if id and name:
            return None
        if isinstance(index, int):
            at = self._indexes.get(index, index)
            return at if at < len(self._calls) else None
        if name or not self._calls:
            return None
        return min(position, len(self._calls) - 1) if position else len(self._calls) - 1

    def _begin(self, call: dict[str, Any]) -> bool:
        function = call["function"]
        changed = False
        if not isinstance(call.get("id"), str) or not call["id"]:
            call["id"] = self._new_id()
            changed = True
        if call.get("type") != "function":
            call["type"] = "function"
            changed = True
        if "arguments" not in function:
            function["arguments"] = ""
            changed = True
        self._calls.append(_Call(call["id"], function.get("name") or ""))
        return changed

    def _go_on(self, call: dict[str, Any], known: _Call) -> bool:
        changed = False
        for name in ("id", "type"):
            if name in call:
                del call[name]
                changed = True
        function = call["function"]
        if "name" in function and (not function["name"] or function["name"] == known.name):
            del function["name"]
            changed = True
        elif "name" in function:
            known.name += function["name"]
        return changed


def _settle_function(call: dict[str, Any]) -> bool:
    function = call.get("function")
    if not isinstance(function, dict):
        call["function"] = {}
        return True
    arguments = function.get("arguments")
    if "arguments" not in function or isinstance(arguments, str):
        return False
    function["arguments"] = "" if arguments is None else arguments_text(arguments)
    return True
