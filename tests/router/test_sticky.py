"""Which conversation a request belongs to, and that it keeps its model."""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest

from freellmapi.core.chat import ChatRequest
from freellmapi.router.sticky import PREFIX, WAYS, Session, Sticky, session_of

NOW = 1_790_000_000.0
TTL = 1_800.0

Message = dict[str, Any]


def says(role: str, content: Any) -> Message:
    return {"role": role, "content": content}


def chat(*messages: Message, session: str | None = None, model: str = "auto") -> ChatRequest:
    return ChatRequest(model, {"messages": list(messages)}, session=session)


SYSTEM, HELLO = says("system", "be brief"), says("user", "hello")
ANSWER, MORE = says("assistant", "hi"), says("user", "and now?")
TOOL = {"role": "tool", "content": "4", "tool_call_id": "c1"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 900 + "x"}}
OTHER_IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 900}}


@pytest.mark.parametrize(
    ("opening", "later"),
    [
        pytest.param([SYSTEM, HELLO], [ANSWER, MORE], id="second turn"),
        pytest.param([HELLO], [ANSWER, MORE, ANSWER, MORE], id="third turn, no system"),
        pytest.param([HELLO, SYSTEM], [ANSWER, MORE], id="system message behind the user's"),
        pytest.param([SYSTEM, HELLO], [ANSWER, SYSTEM, TOOL], id="tool result, reminder"),
        pytest.param([says("user", [IMAGE])], [ANSWER, MORE], id="an image"),
        pytest.param([ANSWER, HELLO], [ANSWER, MORE], id="the client greets first"),
    ],
)
def test_a_conversation_is_known_again_by_its_opening(
    opening: list[Message], later: list[Message]
) -> None:
    fresh, again = session_of(chat(*opening), 1), session_of(chat(*opening, *later), 1)
    assert fresh is not None
    assert again == Session(fresh.id, continued=True)
    assert fresh.continued == (opening[0] is ANSWER)


LONG = "x" * PREFIX

DIFFERENT: list[tuple[str, ChatRequest, int | None]] = [
    ("plain", chat(SYSTEM, HELLO), 1),
    ("another token", chat(SYSTEM, HELLO), 2),
    ("no token", chat(SYSTEM, HELLO), None),
    ("another user message", chat(SYSTEM, MORE), 1),
    ("another system message", chat(says("system", "be long"), HELLO), 1),
    ("no system message", chat(HELLO), 1),
    ("another model name", chat(SYSTEM, HELLO, model="auto:smart"), 1),
    ("an id", chat(SYSTEM, HELLO, session="s"), 1),
    ("another id", chat(SYSTEM, HELLO, session="t"), 1),
    ("the id under another token", chat(SYSTEM, HELLO, session="s"), 2),
    ("a model name like a token", chat(HELLO, session="s", model="1x"), 1),
    ("a token like a model name", chat(HELLO, session="s", model="x"), 11),
    ("texts moved over the border", chat(says("system", "be briefhello"), says("user", "")), 1),
    ("a zero byte", chat(says("system", "be brief\0"), HELLO), 1),
    ("the zero byte moved", chat(SYSTEM, says("user", "\0hello")), 1),
    ("a lone surrogate", chat(says("user", "\ud800")), 1),
    ("long", chat(says("user", LONG)), 1),
    ("longer behind the prefix", chat(says("user", LONG + "y")), 1),
    ("an image", chat(says("user", [IMAGE])), 1),
    ("another image", chat(says("user", [OTHER_IMAGE])), 1),
    ("another kind of part", chat(says("user", [{"type": "input_audio"}])), 1),
    ("two parts", chat(says("user", [IMAGE, IMAGE])), 1),
]


def test_conversations_that_differ_are_told_apart() -> None:
    names: dict[bytes, str] = {}
    for name, request, token in DIFFERENT:
        session = session_of(request, token)
        assert session is not None
        assert session.id not in names, f"{name} is taken for {names[session.id]}"
        names[session.id] = name


def test_a_given_id_is_the_conversation_whatever_is_said() -> None:
    first = session_of(chat(HELLO, session="s"), 1)
    assert first == session_of(chat(SYSTEM, MORE, ANSWER, MORE, session="s"), 1)
    assert first is not None and first.continued


def test_without_a_user_message_there_is_no_conversation() -> None:
    assert session_of(chat(SYSTEM), 1) is None
    assert session_of(chat(SYSTEM, ANSWER), 1) is None


def test_a_huge_message_is_hashed_by_a_piece_of_it() -> None:
    """Texts as long as these, differing in the middle, are one conversation: the price."""
    a, b = "x" * PREFIX + "a" * 10**6, "x" * PREFIX + "b" * 10**6
    assert session_of(chat(says("user", a)), 1) == session_of(chat(says("user", b)), 1)


class TestSticky:
    def session(self, name: str = "s") -> Session:
        found = session_of(chat(HELLO, session=name), 1)
        assert found is not None
        return found

    def test_a_conversation_keeps_its_model_until_it_lapses(self) -> None:
        sticky, session = Sticky(), self.session()
        assert sticky.model(session, NOW) is None
        sticky.remember(session, "alpha/m", NOW, TTL)
        assert sticky.model(session, NOW + TTL - 1) == "alpha/m"
        assert sticky.model(session, NOW + TTL) is None

    def test_each_answer_prolongs_it_and_a_failover_moves_it(self) -> None:
        sticky, session = Sticky(), self.session()
        sticky.remember(session, "alpha/m", NOW, TTL)
        sticky.remember(session, "beta/m", NOW + 1_000, TTL)
        assert sticky.model(session, NOW + TTL + 500) == "beta/m"

    def test_a_fresh_conversation_is_remembered_but_not_looked_up(self) -> None:
        sticky = Sticky()
        fresh, again = session_of(chat(HELLO), 1), session_of(chat(HELLO, ANSWER, MORE), 1)
        sticky.remember(fresh, "alpha/m", NOW, TTL)
        assert sticky.model(fresh, NOW) is None
        assert sticky.model(again, NOW) == "alpha/m"

    def test_no_session_and_no_ttl_are_nothing(self) -> None:
        sticky, session = Sticky(), self.session()
        sticky.remember(None, "alpha/m", NOW, TTL)
        sticky.remember(session, "alpha/m", NOW, 0)
        assert sticky.model(None, NOW) is None
        assert sticky.model(session, NOW) is None

    def test_the_conversation_not_served_for_longest_goes_first(self) -> None:
        sticky, names = Sticky(sets=1), [str(n) for n in range(WAYS)]
        for second, name in enumerate([*names, "0", "one more"]):
            sticky.remember(self.session(name), f"{name}/m", NOW + second, TTL)
        known = {name: sticky.model(self.session(name), NOW) for name in [*names, "one more"]}
        assert known.pop("1") is None
        assert known == {name: f"{name}/m" for name in known}

    def test_conversations_that_are_over_make_room(self) -> None:
        sticky, lasting = Sticky(sets=1), [self.session(f"lasting {n}") for n in range(WAYS - 1)]
        for session in lasting:
            sticky.remember(session, "alpha/m", NOW, TTL)
        for second in range(100):
            sticky.remember(self.session(str(second)), "beta/m", NOW + second, 10)
        assert {sticky.model(session, NOW + 99) for session in lasting} == {"alpha/m"}
        assert sticky.model(self.session("99"), NOW + 99) == "beta/m"

    def test_thousands_are_known_at_a_time(self) -> None:
        sticky, sessions = Sticky(), [self.session(str(n)) for n in range(9_000)]
        for session in sessions:
            sticky.remember(session, "alpha/m", NOW, TTL)
        assert sum(sticky.model(session, NOW) is not None for session in sessions) > 8_800

    def test_what_it_remembers_is_no_object_of_its_own(self) -> None:
        sticky, session = Sticky(), self.session()
        sticky.remember(session, "alpha/m", NOW, TTL)
        sessions = [self.session(str(n)) for n in range(500)]
        gc.collect()
        before = sys.getallocatedblocks()
        for each in sessions:
            sticky.remember(each, "alpha/m", NOW, TTL)
        assert sys.getallocatedblocks() - before < 50
