"""OpenAI's content as Gemini's parts: text, images, sound, documents."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson

from freellmapi.core.errors import ErrorKind, UpstreamError

Part = dict[str, Any]

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[^,;]*)*),", re.ASCII)
_MIME = re.compile(r"(image|audio|video|text)/[a-z0-9.+-]+|application/(pdf|json)", re.ASCII)
_SAME_MIME = {"image/jpg": "image/jpeg", "audio/mpeg": "audio/mp3", "audio/x-wav": "audio/wav"}


def refused(message: str) -> UpstreamError:
    """The request holds something that Gemini has no place for."""
    return UpstreamError(ErrorKind.REQUEST_REFUSED, message)


def parts(content: object) -> list[Part]:
    """A message's content as parts, none of them empty."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [{"text": content}]
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        return [{"text": str(content)}]
    return [made for piece in content if (made := _part(piece))]


def text_of(content: object) -> str:
    """The text of a content, a line for each of its parts."""
    return "\n".join(part["text"] for part in parts(content) if "text" in part)


def _part(piece: object) -> Part | None:
    if isinstance(piece, str):
        return {"text": piece} if piece else None
    if not isinstance(piece, dict):
        raise refused("A content part is neither text nor an object.")
    kind = piece.get("type", "text")
    if kind == "image_url":
        image = piece.get("image_url")
        return _inline(image.get("url") if isinstance(image, dict) else image, "image")
    if kind == "input_audio":
        return _audio(piece.get("input_audio"))
    if kind == "file":
        file = piece.get("file")
        return _inline(file.get("file_data") if isinstance(file, dict) else None, "file")
    text = piece.get("refusal") if kind == "refusal" else piece.get("text")
    if isinstance(text, str):
        return {"text": text} if text else None
    raise refused(f"Gemini has no place for a content part of type {str(kind)[:40]!r}.")


def _inline(url: object, what: str) -> Part:
    """A data URL as inline data; public addresses are fetched before a wire sees them."""
    if not isinstance(url, str) or not (head := _DATA_URL.match(url)):
        raise refused(f"The {what} could not be inlined: Gemini fetches no URLs.")
    mime = (head[1] or "text/plain").lower()
    mime = _SAME_MIME.get(mime, mime)
    if not _MIME.fullmatch(mime):
        raise refused(f"Gemini takes no {what} of type {mime[:60]}.")
    data = url[head.end() :]
    if not head[2].lower().endswith(";base64"):
        data = b64encode(unquote_to_bytes(data)).decode()
    return _data(mime, data)


def _audio(audio: object) -> Part:
    if not isinstance(audio, dict) or not isinstance(audio.get("data"), str):
        raise refused("An input_audio part has no data.")
    form = audio.get("format")
    mime = f"audio/{form}".lower() if isinstance(form, str) else "audio/wav"
    if not _MIME.fullmatch(mime):
        raise refused(f"Gemini takes no sound of type {mime[:60]}.")
    return _data(_SAME_MIME.get(mime, mime), audio["data"])


def _data(mime: str, base64: str) -> Part:
    data = "".join(base64.split())
    if not data:
        raise refused(f"A part of type {mime} is empty.")
    return {"inlineData": {"mimeType": mime, "data": data}}


def arguments(raw: object) -> dict[str, Any]:
    """A call's arguments as the object that Gemini has there; what is none is wrapped in one."""
    if isinstance(raw, dict):
        return raw
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return {}
    value = _json(raw) if isinstance(raw, str) else raw
    return value if isinstance(value, dict) else {"arguments": raw}


def response(content: object) -> dict[str, Any]:
    """A tool's result as an object: JSON objects as they are, all else as ``result``."""
    text = text_of(content)
    value = _json(text) if text.lstrip().startswith("{") else None
    return value if isinstance(value, dict) else {"result": text}


def _json(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
