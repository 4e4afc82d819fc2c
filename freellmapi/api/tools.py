"""The tools of a request and the choice among them."""

from __future__ import annotations

from freellmapi.api.messages import Json, bad

MAX_TOOLS = 512
CHOICES = ("none", "auto", "required")


def tools_of(given: Json) -> list[Json]:
    """Declared functions, each ``{"type": "function", "function": {...}}``.

    The older ``functions`` field and bare ``{name, parameters}`` objects are taken too.
    """
    field = "tools" if "tools" in given else "functions"
    raw = given.get(field, [])
    if not isinstance(raw, list):
        raise bad(field, "must be a list")
    if len(raw) > MAX_TOOLS:
        raise bad(field, f"has {len(raw)} entries, at most {MAX_TOOLS} are taken")
    return [_tool(tool, f"{field}[{i}]") for i, tool in enumerate(raw)]


def tool_choice_of(given: Json, tools: list[Json]) -> str | Json | None:
    """``none``, ``auto``, ``required`` or one declared function; None when not stated."""
    choice = given.get("tool_choice", given.get("function_call"))
    if choice is None:
        return None
    if choice == "any":
        return "required"
    if isinstance(choice, str):
        if choice not in CHOICES:
            raise bad("tool_choice", f"must be one of {', '.join(CHOICES)}, or name a function")
        return choice
    if not isinstance(choice, dict):
        raise bad("tool_choice", "must be a string or an object")
    if choice.get("type") in ("auto", "none", "any", "required"):
        return "required" if choice["type"] == "any" else str(choice["type"])
    function = choice.get("function", choice)
    name = function.get("name") if isinstance(function, dict) else None
    if name not in [tool["function"]["name"] for tool in tools]:
        raise bad("tool_choice.function.name", "must be one of the declared tools")
    return {"type": "function", "function": {"name": name}}


def _tool(tool: object, path: str) -> Json:
    if not isinstance(tool, dict):
        raise bad(path, "must be an object")
    function = tool.get("function")
    if function is None and "name" in tool:
        function = {name: value for name, value in tool.items() if name != "type"}
        path_to_name = f"{path}.name"
    else:
        path_to_name = f"{path}.function.name"
    if not isinstance(function, dict):
        raise bad(f"{path}.function", "must be an object")
    if not isinstance(function.get("name"), str) or not function["name"]:
        raise bad(path_to_name, "must be a string")
    parameters = function.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise bad(f"{path}.function.parameters", "must be a JSON Schema object")
    function = {name: value for name, value in function.items() if value is not None}
    return {"type": "function", "function": function}
