"""Stands for the server of the local model: the same options, pipe and two endpoints.

Run as a script, with options of its own first: ``--starts FILE`` gets a line per start,
``--fail TEXT`` writes the text and exits, ``--deaf`` ignores the stop signal,
``--never-ready`` answers 503 to the health check.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


class Handler(BaseHTTPRequestHandler):
    key = ""
    health = 200

    def do_GET(self) -> None:
        self._answer(self.health, {"status": "ok"})

    def do_POST(self) -> None:
        if self.headers["Authorization"] != f"Bearer {self.key}":
            return self._answer(401, {"error": {"message": "Invalid API Key"}})
        self._answer(200, {"choices": [{"message": {"role": "assistant", "content": "Paris"}}]})

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--starts", type=Path, required=True)
    parser.add_argument("--fail")
    parser.add_argument("--deaf", action="store_true")
    parser.add_argument("--never-ready", action="store_true")
    parser.add_argument("--port", type=int, required=True)
    chosen, _ = parser.parse_known_args()
    if chosen.deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with chosen.starts.open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    if chosen.fail:
        sys.exit(chosen.fail)
    Handler.key = sys.stdin.readline().strip()
    Handler.health = 503 if chosen.never_ready else 200
    if not chosen.deaf:
        Thread(target=end_with_parent, daemon=True).start()
    ThreadingHTTPServer(("127.0.0.1", chosen.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
