"""What schemathesis is told beside the description itself (loaded by it, see test_contract)."""

from __future__ import annotations

import re
from typing import Any

import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response
from schemathesis.hooks import HookContext

CHUNK = {"$ref": "#/components/schemas/ChatCompletionChunk"}
ERROR = {"$ref": "#/components/schemas/Error"}
DATA = {
    "type": "string",
    "contentMediaType": "application/json",
    "contentSchema": {"anyOf": [CHUNK, ERROR]},
}
EVENT = {"type": "object", "properties": {"data": {"anyOf": [{"const": "[DONE]"}, DATA]}}}

OVERRULED = re.compile(r"(component: |in body - )(tool_choice|function_call|functions)\b")


@schemathesis.hook
def before_load_schema(context: HookContext, raw_schema: dict[str, Any]) -> None:
    """Open API 3.1 describes a stream as a whole; the words for its events come with 3.2."""
    answers = raw_schema["paths"]["/chat/completions"]["post"]["responses"]
    answers["200"]["content"]["text/event-stream"] = {"itemSchema": EVENT}


@schemathesis.hook
def filter_failure(
    context: HookContext, failure: Failure, case: schemathesis.Case[Any], response: Response
) -> bool:
    """That a tool is chosen which is not declared is wrong, but no schema can say so; and fields
    that another one overrules are not read, so that nothing can be wrong about them."""
    if failure.code == "ST202":
        return b'"param":"tool_choice.function.name"' not in response.content
    return failure.code != "ST201" or not OVERRULED.search(str(failure.message))
