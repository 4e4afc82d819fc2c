"""A strict Gemini on a real socket: it refuses what Google refuses, and answers else.

    with FakeGemini() as google:
        ... google.base_url, google.key ...
        assert google.refusals == []

It calls functions when it must (mode ANY), or when the user's last words hold "tool" and
functions are declared: each allowed one once, in parallel. Else it says ``google.text`` in
three pieces, or some JSON that fits when JSON is asked for.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from tests.fakes.gemini_rules import Refused, check, generation

PATH = re.compile(r"/v1beta/models/([^/:]+):(generateContent|streamGenerateContent)(\?alt=sse)?")


class FakeGemini:
    """The server; what it saw may be read at any time."""

    def __init__(self, models: frozenset[str] | None = None) -> None:
        self.key = "fake-google-key"
        self.text = ("Hel", "lo the", "re.")
        self.models = models
        """The models there are; None: any."""
        self.requests: list[dict[str, Any]] = []
        self.refusals: list[str] = []
        self.issued: dict[str, set[str]] = {}
        """The signatures given out, by model: another model's are refused."""
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1beta"

    def __enter__(self) -> FakeGemini:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answers(self, model: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The payloads of a stream; raises ``Refused``."""
        issued = self.issued.setdefault(model, set())
        check(body, model, frozenset(issued))
        calls = _calls(body)
        if calls and generation(model) >= 3:
            calls[0]["thoughtSignature"] = f"sig-{model}-{len(issued)}"
            issued.add(calls[0]["thoughtSignature"])
        pieces = [[call] for call in calls] or [[{"text": t}] for t in self._texts(body)]
        counts = {"promptTokenCount": 7}
        made = [_payload(parts, counts) for parts in pieces]
        counts = {**counts, "candidatesTokenCount": 3, "thoughtsTokenCount": 2}
        return [*made, _payload([{"text": ""}], counts, "STOP")]

    def _texts(self, body: Mapping[str, Any]) -> tuple[str, ...]:
        config = body.get("generationConfig", {})
        if config.get("responseMimeType") != "application/json":
            return self.text
        return (json.dumps(fitting(config.get("responseSchema", {"type": "object"}))),)


def _payload(
    parts: list[dict[str, Any]], counts: Mapping[str, int], finish: str | None = None
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts}}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "usageMetadata": counts, "responseId": "fake-id"}


def _calls(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    config = body.get("toolConfig", {}).get("functionCallingConfig", {})
    last = body["contents"][-1]["parts"]
    asked = any("tool" in part.get("text", "") for part in last)
    if config.get("mode") == "NONE" or not (asked or config.get("mode") == "ANY"):
        return []
    declared = [d for t in body.get("tools", ()) for d in t["functionDeclarations"]]
    allowed = config.get("allowedFunctionNames") or [d["name"] for d in declared]
    return [
        {"functionCall": {"name": d["name"], "args": fitting(d.get("parameters", {}))}}
        for d in declared
        if d["name"] in allowed
    ]


def fitting(schema: Mapping[str, Any]) -> Any:
    """A small value that fits the schema."""
    if "anyOf" in schema:
        return fitting(schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type", "object") == "object":
        return {name: fitting(inner) for name, inner in schema.get("properties", {}).items()}
    plain = {"string": "Oslo", "integer": 1, "number": 0.5, "boolean": True}
    return plain[schema["type"]] if schema["type"] in plain else [fitting(schema["items"])]


def joined(payloads: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole answer of which the payloads are the pieces."""
    parts = [p for one in payloads for p in one["candidates"][0]["content"]["parts"]]
    return _payload(
        [p for p in parts if p.get("text") != ""], payloads[-1]["usageMetadata"], "STOP"
    )


class _Handler(BaseHTTPRequestHandler):
    fake: FakeGemini
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = PATH.fullmatch(self.path)
        if path is None or (self.fake.models is not None and path[1] not in self.fake.models):
            return self._error(404, "NOT_FOUND", f"{self.path} is not found for API version v1beta")
        if self.headers.get("x-goog-api-key") != self.fake.key:
            reason = {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
            }
            message = "API key not valid. Please pass a valid API key."
            return self._error(400, "INVALID_ARGUMENT", message, [reason])
        self.fake.requests.append(body)
        try:
            payloads = self.fake.answers(path[1], body)
        except Refused as refusal:
            self.fake.refusals.append(str(refusal))
            return self._error(400, "INVALID_ARGUMENT", str(refusal))
        if path[2] == "generateContent":
            return self._send(200, json.dumps(joined(payloads), indent=2).encode())
        if not path[3]:
            return self._send(200, json.dumps(payloads, indent=2).encode())
        return self._stream(payloads)

    def do_GET(self) -> None:
        listed = [
            {"name": f"models/{name}", "supportedGenerationMethods": ["generateContent"]}
            for name in sorted(self.fake.models or ())
        ]
        self._send(200, json.dumps({"models": listed}).encode())

    def _error(
        self, code: int, status: str, message: str, details: list[dict[str, str]] | None = None
    ) -> None:
        error: dict[str, Any] = {"code": code, "message": message, "status": status}
        if details:
            error["details"] = details
        self._send(code, json.dumps({"error": error}, indent=2).encode())

    def _send(self, code: int, data: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, payloads: list[dict[str, Any]]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for payload in payloads:
            data = b"data: " + json.dumps(payload).encode() + b"\r\n\r\n"
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the tests' output is not an access log."""
