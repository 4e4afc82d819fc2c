"""A conversation in OpenAI's form as Gemini's ``contents``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any

from freellmapi.core.values import dataclass
from freellmapi.providers.gemini_parts import Part, arguments, parts, response, text_of
from freellmapi.providers.signatures import NO_SIGNATURE, SignatureMemory

Message = Mapping[str, Any]

OPENING = "(The conversation so far.)"
"""Stands first where a history begins with the model: Gemini wants the user there."""

_BAD_IN_NAME = re.compile(r"[^a-zA-Z0-9_.:-]")


def function_name(name: str) -> str:
    """A function's name as Gemini takes it: no digit or dash first, 64 characters."""
    clean = _BAD_IN_NAME.sub("_", name)
    return (clean if clean[:1].isalpha() or clean[:1] == "_" else f"_{clean}")[:64]


@dataclass(frozen=True, slots=True)
class Signing:
    """How calls get their signatures back, for one model."""

    memory: SignatureMemory
    family: str
    required: bool
    """Whether the model refuses a call of the current turn that has none."""

    def of_call(self, call: Message, name: str, args: Mapping[str, Any]) -> str | None:
        """What is known of the call, else what the client gave back."""
        held = self.memory.of_call(str(call.get("id") or ""), name, args, self.family)
        if held is not None:
            return held.value if held.family == self.family else None
        return _given(call)

    def of_text(self, text: str) -> str | None:
        held = self.memory.of_text(text, self.family)
        return held.value if held else None


@dataclass(slots=True)
class Conversation:
    """What the messages came to: the system's text, and the turns of user and model."""

    system: list[str] = field(default_factory=list)
    contents: list[dict[str, Any]] = field(default_factory=list)

    def add(self, role: str, found: list[Part]) -> None:
        """Adds to the last turn if it is of the same role: roles take turns."""
        if not found:
            return
        if self.contents and self.contents[-1]["role"] == role:
            self.contents[-1]["parts"].extend(found)
        else:
            self.contents.append({"role": role, "parts": found})

    def open_with_user(self, merge_system: bool) -> None:
        """Puts a user's turn first, the system's text in it if there is no other place."""
        text = "\n\n".join(self.system)
        if text and (merge_system or not self.contents):
            self.system.clear()
        else:
            text = ""
        if self.contents and self.contents[0]["role"] == "user":
            if text:
                self.contents[0]["parts"].insert(0, {"text": text})
        else:
            self.contents.insert(0, {"role": "user", "parts": [{"text": text or OPENING}]})

    def sign_calls(self) -> None:
        """Marks the first call of each step of the current turn, if its signature is lost."""
        for content in self.contents[self._current_turn() :]:
            first = next((p for p in content["parts"] if "functionCall" in p), None)
            if first is not None:
                first.setdefault("thoughtSignature", NO_SIGNATURE)

    def _current_turn(self) -> int:
        """Where the last turn of the user that is not results of calls stands."""
        for index in range(len(self.contents) - 1, -1, -1):
            content = self.contents[index]
            if content["role"] == "user" and not any(
                "functionResponse" in part for part in content["parts"]
            ):
                return index
        return 0


def conversation(
    messages: Sequence[Message], signing: Signing, merge_system: bool = False
) -> Conversation:
    """The whole conversation, in the order and roles that Gemini accepts."""
    talk = Conversation()
    answered: set[int] = set()
    for index, message in enumerate(messages):
        role = message.get("role")
        if role in ("system", "developer"):
            text = text_of(message.get("content"))
            talk.system.extend([text] if text else [])
        elif role == "assistant":
            calls = _calls(message)
            talk.add("model", _said(message, calls, signing))
            talk.add("user", _results(calls, messages, index, answered))
        elif role in ("tool", "function"):
            talk.add("user", [] if index in answered else _stray(message))
        else:
            talk.add("user", parts(message.get("content")))
    talk.open_with_user(merge_system)
    if signing.required:
        talk.sign_calls()
    return talk


def _calls(message: Message) -> list[Message]:
    listed = message.get("tool_calls")
    if not isinstance(listed, list):
        old = message.get("function_call")
        listed = [{"function": old}] if isinstance(old, dict) else []
    return [call for call in listed if isinstance(call, dict) and _name(call)]


def _name(call: Message) -> str:
    function = call.get("function")
    return str(function.get("name") or "") if isinstance(function, dict) else ""


def _said(message: Message, calls: Iterable[Message], signing: Signing) -> list[Part]:
    """The model's own parts: its text, then its calls."""
    said = parts(message.get("content"))
    texts = [part for part in said if "text" in part]
    signature = signing.of_text("".join(p["text"] for p in texts)) if texts else None
    if signature:
        texts[-1]["thoughtSignature"] = signature
    return said + [_call(call, signing) for call in calls]


def _call(call: Message, signing: Signing) -> Part:
    name = _name(call)
    args = arguments(call["function"].get("arguments"))
    part: Part = {"functionCall": {"name": function_name(name), "args": args}}
    if call.get("id"):
        part["functionCall"]["id"] = call["id"]
    signature = signing.of_call(call, name, args)
    if signature:
        part["thoughtSignature"] = signature
    return part


def _given(call: Message) -> str | None:
    """The signature that a client kept where Google's own OpenAI endpoint puts it."""
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) and signature else None


def _results(
    calls: Sequence[Message], messages: Sequence[Message], index: int, answered: set[int]
) -> list[Part]:
    """The results of one round in the order of its calls; Gemini wants one for each."""
    if not calls:
        return []
    found = _paired(calls, messages, index, answered)
    made: list[Part] = []
    media: list[Part] = []
    for call, result in zip(calls, found, strict=True):
        content = result.get("content") if result else None
        answer = response(content) if result else {"error": "No result was given."}
        function: Part = {"name": function_name(_name(call)), "response": answer}
        if call.get("id"):
            function["id"] = call["id"]
        made.append({"functionResponse": function})
        media += [p for p in parts(content) if "inlineData" in p]
    return made + media


def _paired(
    calls: Sequence[Message], messages: Sequence[Message], index: int, answered: set[int]
) -> list[Message | None]:
    """The result of each call, by id; results without an id go to the calls left, in order."""
    after: list[int] = []
    for later in range(index + 1, len(messages)):
        if messages[later].get("role") == "assistant":
            break
        if messages[later].get("role") in ("tool", "function"):
            after.append(later)
    by_id = {messages[p]["tool_call_id"]: p for p in after if messages[p].get("tool_call_id")}
    nameless = iter([p for p in after if not messages[p].get("tool_call_id")])
    found: list[int | None] = []
    for call in calls:
        position = by_id.get(call.get("id") or "")
        found.append(next(nameless, None) if position is None else position)
    answered.update(place for place in found if place is not None)
    return [None if place is None else messages[place] for place in found]


def _stray(message: Message) -> list[Part]:
    """A result whose call is not in the history: told in words, Gemini takes it no other way."""
    name = message.get("name") or message.get("tool_call_id") or "a tool"
    told = parts(message.get("content"))
    return [{"text": f"Result of {name}:"}, *told] if told else []
