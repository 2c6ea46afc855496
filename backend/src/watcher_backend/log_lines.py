"""Log lines: to stderr, one line an entry whatever a name from outside holds."""

import logging
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from watcher_backend.text import escape_control


class LineFormatter(logging.Formatter):
    """``LEVEL: message``, the message's control characters escaped; a trace follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry's line."""
        line = escape_control(f"{record.levelname}: {self.message(record)}")
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line

    def message(self, record: logging.LogRecord) -> str:
        """Return what the entry says."""
        return record.getMessage()


class AccessLineFormatter(LineFormatter):
    """``LEVEL: address:port - "POST /path HTTP/1.1" 200 OK``, from what uvicorn hands its access log."""

    def message(self, record: logging.LogRecord) -> str:
        """Return the request's line and its status, the status's phrase added."""
        message = record.getMessage()
        # uvicorn's last argument is the status.
        return f"{message} {_phrase(record.args[-1])}" if isinstance(record.args, tuple) else message


@lru_cache
def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def logging_config(level: int) -> dict[str, Any]:
    """Return the `logging.config.dictConfig` of the whole program, the server's access log included."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": LineFormatter}, "access": {"()": AccessLineFormatter}},
        "handlers": {
            name: {"class": "logging.StreamHandler", "formatter": name, "stream": "ext://sys.stderr"}
            for name in ("line", "access")
        },
        "root": {"handlers": ["line"], "level": "WARNING"},
        "loggers": {
            "watcher_backend": {"level": level},
            "uvicorn": {"level": level},
            "uvicorn.access": {"level": level, "handlers": ["access"], "propagate": False},
        },
    }
