"""The fake provider as a process of its own: ``python -m tests.fakes [--port N]``.

Prints its base URL, then takes one command a line on standard input, each a JSON object:
``{"script": [["says", ["hi"], {}], ["status", [429], {"Retry_After": "7"}]]}`` sets the
script, ``{"seen": true}`` prints what was seen. It ends with its input.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from tests.fakes.answers import Reply
from tests.fakes.provider import FakeProvider
from tests.fakes.replies import VERBS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=0)
    with FakeProvider(port=parser.parse_args().port) as fake:
        _say({"base_url": fake.base_url})
        for line in sys.stdin:
            command = json.loads(line)
            if "script" in command:
                fake.script = [_reply(*entry) for entry in command["script"]]
            _say(_seen(fake))


def _reply(verb: str, args: list[Any], options: dict[str, Any]) -> Reply:
    build: Any = VERBS[verb]
    reply: Reply = build(*args, **options)
    return reply


def _seen(fake: FakeProvider) -> dict[str, Any]:
    seen = [{"path": each.path, "body": each.body.decode()} for each in list(fake.requests)]
    return {"requests": seen, "closed": len(fake.closed), "connections": fake.connections}


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
