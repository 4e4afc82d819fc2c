"""The first request, ready to be copied, in four languages."""

from __future__ import annotations

from freellmapi.core.values import dataclass

KEY_HERE = "YOUR_UNIFIED_KEY"


@dataclass(frozen=True, slots=True)
class Snippet:
    id: str
    title: str
    text: str


_CURL = """\
curl {url}/chat/completions \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": "auto", "messages": [{{"role": "user", "content": "Hello!"}}]}}'"""

_PYTHON = """\
from openai import OpenAI

client = OpenAI(base_url="{url}", api_key="{key}")
answer = client.chat.completions.create(
    model="auto", messages=[{{"role": "user", "content": "Hello!"}}]
)
print(answer.choices[0].message.content)"""

_TYPESCRIPT = """\
import OpenAI from "openai";

const client = new OpenAI({{ baseURL: "{url}", apiKey: "{key}" }});
const answer = await client.chat.completions.create({{
  model: "auto", messages: [{{ role: "user", content: "Hello!" }}],
}});
console.log(answer.choices[0].message.content);"""

_LANGCHAIN = """\
from langchain_openai import ChatOpenAI

model = ChatOpenAI(base_url="{url}", api_key="{key}", model="auto")
print(model.invoke("Hello!").content)"""

_ALL = (
    ("curl", "curl", _CURL),
    ("python", "Python", _PYTHON),
    ("typescript", "TypeScript", _TYPESCRIPT),
    ("langchain", "LangChain", _LANGCHAIN),
)


def snippets(base_url: str, key: str = "") -> tuple[Snippet, ...]:
    """With ``YOUR_UNIFIED_KEY`` where the key belongs, unless it is given."""
    return tuple(
        Snippet(id, title, text.format(url=base_url, key=key or KEY_HERE))
        for id, title, text in _ALL
    )
