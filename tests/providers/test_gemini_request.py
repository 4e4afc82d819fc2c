from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from freellmapi.core.catalog import Model, Provider, Quirks
from freellmapi.core.chat import ChatRequest
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.providers.gemini import GeminiWire
from freellmapi.providers.gemini_messages import OPENING, function_name
from freellmapi.providers.signatures import NO_SIGNATURE

DATA = Path(__file__).parent / "data" / "gemini"
GOOGLE = Provider(id="google", name="Google", base_url="http://x/v1beta", wire="gemini")
GET_TIME = {
    "type": "function",
    "function": {
        "name": "get_time",
        "description": "Local time",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
USER = {"role": "user", "content": "Hi"}
DOT = b64encode(b"\x89PNG").decode()


def model(id: str = "gemini-3.5-flash", **fields: Any) -> Model:
    fields = {"family": id, "max_output": 65_536, "reasoning": True, "tools": True, **fields}
    return Model(provider="google", id=id, name=id, **fields)


def sent(
    body: dict[str, Any], to: Model | None = None, provider: Provider = GOOGLE
) -> dict[str, Any]:
    """What goes to Google for an OpenAI request."""
    body = {"messages": [USER], **body}
    call = GeminiWire().call(ChatRequest(model="auto", body=body), provider, to or model())
    made: dict[str, Any] = json.loads(call.body)
    return made


def contents(*messages: dict[str, Any], to: Model | None = None) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = sent({"messages": list(messages)}, to)["contents"]
    return made


def assistant(*calls: tuple[str, str, str], text: str | None = None) -> dict[str, Any]:
    listed = [
        {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id, name, arguments in calls
    ]
    return {"role": "assistant", "content": text, "tool_calls": listed}


def result(id: str, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": content}


def test_the_whole_example() -> None:
    call = assistant(("fc1", "get_time", '{"city":"Oslo"}'))
    call["tool_calls"][0]["extra_content"] = {"google": {"thought_signature": "QUJD"}}
    body = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Time in Oslo?"},
            call,
            result("fc1", "14:05"),
        ],
        "tools": [GET_TIME],
        "tool_choice": "auto",
        "max_tokens": 2048,
        "stop": "END",
        "reasoning_effort": "low",
        "n": 1,
        "user": "u",
        "parallel_tool_calls": True,
        "unknown": {"x": 1},
    }
    assert sent(body) == json.loads((DATA / "request.json").read_bytes())


@pytest.mark.parametrize(
    ("id", "stream", "path"),
    [
        ("gemini-3.5-flash", False, "/models/gemini-3.5-flash:generateContent"),
        ("gemini-3.5-flash", True, "/models/gemini-3.5-flash:streamGenerateContent?alt=sse"),
        ("models/gemma-4", False, "/models/gemma-4:generateContent"),
        ("a/../b?c", False, "/models/a%2F..%2Fb%3Fc:generateContent"),
    ],
)
def test_the_path_names_the_model_safely(id: str, stream: bool, path: str) -> None:
    chat = ChatRequest(model="auto", body={"messages": [USER]}, stream=stream)
    assert GeminiWire().call(chat, GOOGLE, model(id)).path == path


MESSAGES: list[tuple[str, list[dict[str, Any]], list[dict[str, Any]]]] = [
    (
        "neighbours of one role are one turn",
        [USER, {"role": "user", "content": ["a", {"text": "b"}]}],
        [{"role": "user", "parts": [{"text": "Hi"}, {"text": "a"}, {"text": "b"}]}],
    ),
    (
        "a history that begins with the model",
        [{"role": "assistant", "content": "Hello"}, USER],
        [
            {"role": "user", "parts": [{"text": OPENING}]},
            {"role": "model", "parts": [{"text": "Hello"}]},
            {"role": "user", "parts": [{"text": "Hi"}]},
        ],
    ),
    (
        "empty messages leave no empty parts",
        [USER, {"role": "assistant", "content": ""}, {"role": "user", "content": None},
         {"role": "user", "content": [{"type": "text", "text": ""}]}],
        [{"role": "user", "parts": [{"text": "Hi"}]}],
    ),
    (
        "system alone is the question",
        [{"role": "system", "content": "Say hi"}],
        [{"role": "user", "parts": [{"text": "Say hi"}]}],
    ),
    (
        "image, sound and document",
        [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": f"data:image/jpg;base64,{DOT}"}},
            {"type": "image_url", "image_url": f"data:image/png;n=x;base64,{DOT[:4]}\n{DOT[4:]}"},
            {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,QQ=="}},
            {"type": "file", "file": {"file_data": "data:,a%20b"}},
        ]}],
        [{"role": "user", "parts": [
            {"inlineData": {"mimeType": "image/jpeg", "data": DOT}},
            {"inlineData": {"mimeType": "image/png", "data": DOT}},
            {"inlineData": {"mimeType": "audio/mp3", "data": "QQ=="}},
            {"inlineData": {"mimeType": "application/pdf", "data": "QQ=="}},
            {"inlineData": {"mimeType": "text/plain", "data": b64encode(b"a b").decode()}},
        ]}],
    ),
    (
        "a result whose call is lost",
        [USER, {"role": "tool", "tool_call_id": "c9", "name": "f", "content": "42"}],
        [{"role": "user", "parts": [{"text": "Hi"}, {"text": "Result of f:"}, {"text": "42"}]}],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("messages", "expected"), [c[1:] for c in MESSAGES], ids=[c[0] for c in MESSAGES]
)
def test_messages_become_contents(
    messages: list[dict[str, Any]], expected: list[dict[str, Any]]
) -> None:
    assert contents(*messages) == expected


def test_all_system_and_developer_text_is_one_instruction() -> None:
    made = sent({"messages": [
        {"role": "system", "content": "A"}, USER,
        {"role": "developer", "content": [{"type": "text", "text": "B"}, "C"]},
    ]})  # fmt: skip
    assert made["systemInstruction"] == {"parts": [{"text": "A\n\nB\nC"}]}
    assert len(made["contents"]) == 1


@pytest.mark.parametrize(
    "to",
    [model("gemma-3-27b-it"), model("other", quirks={"flags": ["merge_system"]})],
    ids=lambda m: str(m.id),
)
def test_without_a_system_role_its_text_opens_the_first_turn(to: Model) -> None:
    made = sent({"messages": [{"role": "system", "content": "A"}, USER]}, to)
    assert "systemInstruction" not in made
    assert made["contents"] == [{"role": "user", "parts": [{"text": "A"}, {"text": "Hi"}]}]


def responses(content: dict[str, Any]) -> list[tuple[str | None, str, Any]]:
    found = [p["functionResponse"] for p in content["parts"] if "functionResponse" in p]
    return [(f.get("id"), f["name"], f["response"]) for f in found]


def test_results_follow_the_order_of_the_calls_in_one_turn() -> None:
    made = contents(
        USER,
        assistant(("a", "f", "{}"), ("b", "g", "{}"), text="Looking."),
        result("b", '{"ok": true}'),
        result("a", [{"type": "text", "text": "one"}]),
    )
    assert [c["role"] for c in made] == ["user", "model", "user"]
    assert made[1]["parts"][0] == {"text": "Looking."}
    assert responses(made[2]) == [("a", "f", {"result": "one"}), ("b", "g", {"ok": True})]


def test_ids_used_again_in_a_later_round_meet_their_own_results() -> None:
    made = contents(
        USER,
        assistant(("call_0", "f", "{}")), result("call_0", "first"),
        assistant(("call_0", "g", "{}")), result("call_0", "second"),
    )  # fmt: skip
    assert responses(made[2]) == [("call_0", "f", {"result": "first"})]
    assert responses(made[4]) == [("call_0", "g", {"result": "second"})]


def test_a_missing_result_is_told_and_the_users_words_come_after() -> None:
    made = contents(
        USER, assistant(("a", "f", "{}"), ("b", "g", "{}")), {"role": "user", "content": "Stop"},
        result("b", "late"),
    )  # fmt: skip
    assert [r[2] for r in responses(made[2])] == [
        {"error": "No result was given."},
        {"result": "late"},
    ]
    assert made[2]["parts"][2] == {"text": "Stop"}
    assert len(made) == 3


def test_results_without_ids_are_paired_in_order() -> None:
    calls = assistant(("", "f", "{}"), ("", "g", "{}"))
    made = contents(USER, calls, {"role": "tool", "content": "1"}, {"role": "tool", "content": "2"})
    assert responses(made[2]) == [(None, "f", {"result": "1"}), (None, "g", {"result": "2"})]


def test_a_picture_as_a_result_stands_beside_it() -> None:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DOT}"}}
    made = contents(USER, assistant(("a", "f", "{}")), result("a", [picture]))
    assert "functionResponse" in made[2]["parts"][0]
    assert made[2]["parts"][1] == {"inlineData": {"mimeType": "image/png", "data": DOT}}


@pytest.mark.parametrize(
    ("arguments", "args"),
    [
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        (None, {}),
        ({"a": 1}, {"a": 1}),
        ('{"a": ', {"arguments": '{"a": '}),
        ("[1]", {"arguments": "[1]"}),
        ("null", {"arguments": "null"}),
    ],
)
def test_arguments_are_always_an_object(arguments: Any, args: dict[str, Any]) -> None:
    made = contents(USER, assistant(("a", "f", arguments)), result("a", "x"))
    assert made[1]["parts"][0]["functionCall"]["args"] == args


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", {"result": "plain"}),
        ("", {"result": ""}),
        ('{"a": [1]}', {"a": [1]}),
        ("[1]", {"result": "[1]"}),
        ('{"a": ', {"result": '{"a": '}),
    ],
)
def test_a_result_is_always_an_object(text: str, expected: dict[str, Any]) -> None:
    made = contents(USER, assistant(("a", "f", "{}")), result("a", text))
    assert made[2]["parts"][0]["functionResponse"]["response"] == expected


def signatures(made: list[dict[str, Any]]) -> list[list[str | None]]:
    return [
        [p.get("thoughtSignature") for p in c["parts"] if "functionCall" in p]
        for c in made
        if c["role"] == "model"
    ]


def test_lost_signatures_are_excused_once_a_step_and_only_in_the_current_turn() -> None:
    history = [
        USER,
        assistant(("a", "f", "{}")), result("a", "1"),
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "Again"},
        assistant(("b", "f", "{}"), ("c", "f", "{}")), result("b", "1"), result("c", "2"),
        assistant(("d", "f", "{}")), result("d", "3"),
    ]  # fmt: skip
    made = signatures(contents(*history))
    assert made == [[None], [], [NO_SIGNATURE, None], [NO_SIGNATURE]]
    older = signatures(contents(*history, to=model("gemini-2.5-flash")))
    assert older == [[None], [], [None, None], [None]]


@pytest.mark.parametrize(
    ("to", "required"),
    [
        (model("gemini-3-flash-preview"), True),
        (model("gemini-4-argon"), True),
        (model("gemini-flash-latest", family="gemini-3.8-flash"), True),
        (model("gemini-flash-latest", family="flash"), True),
        (model("gemini-2.5-flash-lite"), False),
        (model("gemma-4-31b-it"), False),
    ],
    ids=lambda v: str(getattr(v, "id", v)),
)
def test_which_models_need_signatures(to: Model, required: bool) -> None:
    made = contents(USER, assistant(("a", "f", "{}")), result("a", "1"), to=to)
    assert signatures(made) == [[NO_SIGNATURE if required else None]]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:application/x-sh;base64,QQ=="}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}},
        {"type": "image_url"},
        {"type": "input_audio", "input_audio": {"format": "wav"}},
        {"type": "hologram"},
        7,
    ],
    ids=str,
)
def test_content_without_a_place_is_refused(part: Any) -> None:
    with pytest.raises(UpstreamError) as caught:
        contents({"role": "user", "content": ["Look:", part]})
    assert caught.value.kind is ErrorKind.REQUEST_REFUSED


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "get_time"}},
         {"mode": "ANY", "allowedFunctionNames": ["get_time"]}),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
            {"type": "function", "function": {"name": "get_time"}}]}},
         {"mode": "ANY", "allowedFunctionNames": ["get_time"]}),
        ({"type": "odd"}, None),
    ],
)  # fmt: skip
def test_tool_choice(choice: Any, expected: Any) -> None:
    config = sent({"tools": [GET_TIME], "tool_choice": choice}).get("toolConfig")
    assert config == ({"functionCallingConfig": expected} if expected else None)


def test_tool_choice_needs_functions() -> None:
    made = sent({"tools": [{"type": "web_search"}], "tool_choice": "required"})
    assert made.keys() == {"contents"}


def test_functions_are_declared_once_and_in_one_tool() -> None:
    bare = {"type": "function", "function": {"name": "1 now", "parameters": {"type": "object"}}}
    made = sent({"tools": [GET_TIME, bare, GET_TIME]})["tools"]
    assert [[d["name"] for d in t["functionDeclarations"]] for t in made] == [
        ["get_time", "_1_now"]
    ]
    assert made[0]["functionDeclarations"][1] == {"name": "_1_now"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("get-time.x:y", "get-time.x:y"), ("-a", "_-a"), ("ä b", "__b"), ("x" * 70, "x" * 64)],
)
def test_function_names(name: str, expected: str) -> None:
    assert function_name(name) == expected


CONFIGS: list[tuple[str, str, dict[str, Any], dict[str, Any] | None]] = [
    ("nothing asked", "gemini-3.5-flash", {}, None),
    ("limit, newer name first", "gemini-3.5-flash",
     {"max_tokens": 2000, "max_completion_tokens": 3000}, {"maxOutputTokens": 3000}),
    ("limit clamped", "gemini-3.5-flash", {"max_tokens": 10**6}, {"maxOutputTokens": 65_536}),
    ("sampling", "gemini-3.5-flash", {"temperature": 0, "top_p": 0.5, "top_k": 40},
     {"temperature": 0, "topP": 0.5, "topK": 40}),
    ("penalties, 2.5", "gemini-2.5-flash", {"presence_penalty": 1, "frequency_penalty": 0.5},
     {"presencePenalty": 1, "frequencyPenalty": 0.5}),
    ("penalties, 3", "gemini-3.5-flash", {"presence_penalty": 1}, None),
    ("penalties, Gemma", "gemma-4-31b-it", {"presence_penalty": 1}, None),
    ("stops", "gemini-3.5-flash", {"stop": ["a", "", "b", "c", "d", "e", "f"]},
     {"stopSequences": ["a", "b", "c", "d", "e"]}),
    ("seed", "gemini-3.5-flash", {"seed": -7}, {"seed": -7}),
    ("a seed beyond 32 bits", "gemini-3.5-flash", {"seed": 2**31 + 5}, {"seed": 5}),
    ("nulls", "gemini-3.5-flash", {"seed": None, "stop": None, "temperature": None}, None),
    ("effort none, 2.5", "gemini-2.5-flash", {"reasoning_effort": "none"},
     {"thinkingConfig": {"thinkingBudget": 0}}),
    ("effort none, 2.5 Pro", "gemini-2.5-pro", {"reasoning_effort": "none"},
     {"thinkingConfig": {"thinkingBudget": 128}}),
    ("effort medium, 2.5", "gemini-2.5-flash", {"reasoning_effort": "medium"},
     {"thinkingConfig": {"thinkingBudget": 8192, "includeThoughts": True}}),
    ("effort xhigh, 3", "gemini-3.5-flash", {"reasoning_effort": "xhigh"},
     {"thinkingConfig": {"thinkingLevel": "high", "includeThoughts": True}}),
    ("effort none, 3", "gemini-3.5-flash", {"reasoning_effort": "none"},
     {"thinkingConfig": {"thinkingLevel": "minimal"}}),
    ("effort minimal, where there is none", "gemini-3.8-flash", {"reasoning_effort": "minimal"},
     {"thinkingConfig": {"thinkingLevel": "low"}}),
    ("effort minimal, newest", "gemini-4-argon", {"reasoning_effort": "minimal"},
     {"thinkingConfig": {"thinkingLevel": "low"}}),
    ("effort, Gemma", "gemma-4-31b-it", {"reasoning_effort": "high"}, None),
    ("effort unknown", "gemini-3.5-flash", {"reasoning_effort": "heroic"}, None),
    ("a small answer leaves thinking no room", "gemini-2.5-flash", {"max_tokens": 16},
     {"maxOutputTokens": 16, "thinkingConfig": {"thinkingBudget": 0}}),
    ("a small answer, effort stated", "gemini-3.5-flash",
     {"max_tokens": 16, "reasoning_effort": "high"},
     {"maxOutputTokens": 16,
      "thinkingConfig": {"thinkingLevel": "high", "includeThoughts": True}}),
    ("JSON", "gemini-3.5-flash", {"response_format": {"type": "json_object"}},
     {"responseMimeType": "application/json"}),
    ("text", "gemini-3.5-flash", {"response_format": {"type": "text"}}, None),
    ("schema", "gemini-3.5-flash", {"response_format": {"type": "json_schema", "json_schema": {
        "name": "n", "strict": True, "schema": GET_TIME["function"]["parameters"]}}},  # type: ignore[index]
     {"responseMimeType": "application/json", "responseSchema": {
         "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("id", "body", "expected"), [c[1:] for c in CONFIGS], ids=[c[0] for c in CONFIGS]
)
def test_generation_config(id: str, body: dict[str, Any], expected: Any) -> None:
    made = sent(body, model(id))
    assert made.get("generationConfig") == expected
    assert "systemInstruction" not in made


def test_json_beside_functions_is_asked_for_in_words_on_gemini_2() -> None:
    wanted = {"type": "json_schema", "json_schema": {"schema": {"type": "array"}}}
    body = {"response_format": wanted, "tools": [GET_TIME]}
    made = sent(body, model("gemini-2.5-flash"))
    assert "generationConfig" not in made
    assert '{"type":"array"}' in made["systemInstruction"]["parts"][0]["text"]
    assert "responseSchema" in sent(body)["generationConfig"]


def test_a_schema_the_model_cannot_take_is_told_in_words_beside_json_mode() -> None:
    wanted = {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}
    for to in (model(json_schema=False), model(quirks={"flags": ["json_schema_as_object"]}), None):
        made = sent({"response_format": wanted}, to)
        assert made["generationConfig"] == {"responseMimeType": "application/json"}
        assert '{"type":"object"}' in made["systemInstruction"]["parts"][0]["text"]


def test_the_catalogs_quirks_are_applied() -> None:
    quirks = Quirks(
        drop=frozenset({"seed"}), set={"top_p": 0.9, "top_k": 5}, clamp={"temperature": (0.1, 1)}
    )
    provider = Provider(id="google", name="G", base_url="http://x", wire="gemini", quirks=quirks)
    body = {"seed": 1, "temperature": 2, "top_k": 7, "frequency_penalty": 1, "stop": "x"}
    made = sent(body, model(quirks={"drop": ["stop"]}), provider)
    assert made["generationConfig"] == {"temperature": 1, "topP": 0.9, "topK": 7}


def test_the_request_is_left_as_it_was() -> None:
    messages = [USER, assistant(("a", "f", "{}")), result("a", "1")]
    body = {"messages": messages, "tools": [GET_TIME], "response_format": {"type": "json_object"}}
    before = json.dumps(body)
    sent(body, model("gemini-2.5-flash"))
    assert json.dumps(body) == before
