"""Log lines: to stderr, one line an entry whatever a name from outside holds."""

import logging
from typing import Any

from uvicorn.logging import AccessFormatter

from watcher_backend.text import escape_control


class OneLineFormatter(logging.Formatter):
    """``LEVEL: message``, the message's control characters escaped; a trace follows on lines of its own."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the standard library's name
        """Return the entry's line."""
        return escape_control(super().formatMessage(record))


def logging_config(level: int) -> dict[str, Any]:
    """Return the `logging.config.dictConfig` of the whole program, the server's access log included."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {"()": OneLineFormatter},
            # The server has percent-encoded the path; only this formatter adds the status's phrase.
            "access": {
                "()": AccessFormatter,
                "fmt": '%(levelname)s: %(client_addr)s - "%(request_line)s" %(status_code)s',
                "use_colors": False,
            },
        },
        "handlers": {
            name: {"class": "logging.StreamHandler", "formatter": formatter, "stream": "ext://sys.stderr"}
            for name, formatter in (("stderr", "line"), ("access", "access"))
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "watcher_backend": {"level": level},
            "uvicorn": {"level": level},
            "uvicorn.access": {"level": level, "handlers": ["access"], "propagate": False},
        },
    }
