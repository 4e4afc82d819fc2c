"""How log records are written: one line each, as text or JSON, secrets removed.

What others say (a model's name, a provider's error, the message of an exception) can neither
begin a line of its own nor speak to the terminal that shows it.
"""

from __future__ import annotations

import json
import logging
import logging.config
import re
from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TextIO

from freellmapi.providers.redact import without_known

if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:
    # Python 3.10 has no generic one.
    _StreamHandler = logging.StreamHandler

_SECRETS = re.compile(
    r"""(?P<kept>
        \b(?:bearer|basic)\s+                                         # Authorization
      | \b(?:api[_-]?key|access_token|token|secret|password|key)["']?\s*[=:]\s*["']?
      | ://[^\s/:@]*:(?=[^\s/@]+@)                                    # user:password@host
    )
    (?!anonymous\b|env:)                                              # our names of keys
    (?P<secret>[^\s"'&,;)}\]@]{8,}|(?<=:)[^\s/@]+(?=@))
    | \b(?P<prefix>sk-|gsk_|hf_|ghp_|github_pat_|nvapi-|csk-|AIza|AQ\.|freellmapi-)
      [A-Za-z0-9_-]{12,}
    """,
    re.VERBOSE | re.IGNORECASE,
)

# Whatever is a secret to the expression above has one of these in it, in lower case. Looking
# for them first makes a usual line four times cheaper, and there is one for each request.
_HINTS = (
    *("bearer", "basic", "key", "token", "secret", "password", "://"),
    *("sk-", "gsk_", "hf_", "ghp_", "github_pat_", "nvapi-", "aiza", "aq.", "freellmapi-"),
)

# The attributes that every record has; what is beside them came through ``extra``.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def redact(text: str) -> str:
    """``text`` with whatever is unmistakably a key, a token or a password cut to ``***``.

    The last net, below ``providers.redact``: that one masks all that looks random in what
    others say, while our own lines hold request ids that must stay readable.
    """
    folded = text.casefold()
    if not any(map(folded.__contains__, _HINTS)):
        return text
    return _SECRETS.sub(lambda m: (m["kept"] or m["prefix"] or "") + "***", text)


def _visible(text: str) -> str:
    """``text`` with controls, escapes, direction marks and lone surrogates spelled out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class TextFormatter(logging.Formatter):
    """``2026-11-22T19:42:01.123Z INFO freellmapi.router model=... status=200``.

    The lines of a traceback are set in, so that none of them passes for a record.
    """

    def format(self, record: logging.LogRecord) -> str:
        message = _visible(record.getMessage())
        line = f"{_utc(record.created)} {record.levelname} {record.name} {message}"
        if error := self._error(record):
            line = "\n  | ".join([line, *map(_visible, error.split("\n"))])
        return redact(line)

    def _error(self, record: logging.LogRecord) -> str:
        # A message of ours was made fit when it was put together; whatever an exception says is
        # not known before.
        return without_known(self.formatException(record.exc_info)) if record.exc_info else ""


class JsonFormatter(TextFormatter):
    """One JSON object a line: ``at``, ``level``, ``logger``, ``message``, extras, ``error``."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "at": _utc(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        extras = {k: v for k, v in vars(record).items() if k not in _STANDARD}
        fields |= {k: redact(v) if isinstance(v, str) else v for k, v in extras.items()}
        if error := self._error(record):
            fields["error"] = redact(error)
        line = json.dumps(fields, default=str, ensure_ascii=False)
        return line if line.isprintable() else json.dumps(fields, default=str)


class LineHandler(_StreamHandler):
    """Writes each line at once, by one call and without a lock.

    Python's standard error writes out whatever ends a line, and lets no thread into another's
    line. The lock, taken for a line and again to flush it, was 2 % of a small request.
    """

    def createLock(self) -> None:
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.stream.write(f"{self.format(record)}\n")
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001
            # As every handler does: what cannot be logged must not fail a request.
            self.handleError(record)


def log_config(log_format: str = "text", log_level: str = "INFO") -> dict[str, Any]:
    """The configuration for ``logging.config.dictConfig``, gunicorn's own loggers included."""
    formatter = JsonFormatter if log_format == "json" else TextFormatter
    quiet = {"level": "WARNING"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {
            "stderr": {
                "()": LineHandler,
                "formatter": "line",
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"level": log_level, "handlers": ["stderr"]},
        "loggers": {
            "gunicorn.error": {"handlers": [], "propagate": True},
            "gunicorn.access": {"handlers": [], "propagate": False},
            "urllib3": quiet,
            "werkzeug": quiet,
        },
    }


def configure(log_format: str = "text", log_level: str = "INFO") -> None:
    """Send all log records to standard error in the given form."""
    logging.config.dictConfig(log_config(log_format, log_level))
    # The Optimization chapter of Python's logging guide: no line of ours shows its file, its
    # thread or its process, and to find them out is a third of what a line costs.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _utc(created: float) -> str:
    second, micro = divmod(round(created * 1_000_000), 1_000_000)
    return f"{_second(second)}.{micro // 1000:03}Z"


@lru_cache(maxsize=4)
def _second(since: int) -> str:
    """Up to the second, for all lines of that second."""
    return datetime.fromtimestamp(since, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
