"""Logs: one line per event, identifiers as fields, never a patient's name, ID or birth date."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pydicom

from node.errors import RadnodeError

# A variable and no setting: the log is configured before settings are read, and workers inherit it.
LOG_FORMAT_VARIABLE = "RADNODE_LOG_FORMAT"


class LogFormat(StrEnum):
    """How an event is written: for people, or as one JSON object for a log collector."""

    LINE = "line"
    JSON = "json"


class LineFormatter(logging.Formatter):
    """Writes `time level event key=value …`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for one record."""
        fields = "".join(f" {key}={value}" for key, value in _fields(record).items())
        return f"{_time(record)} {record.levelname.lower()} {record.getMessage()}{fields}"


class JsonFormatter(logging.Formatter):
    """Writes one JSON object per record: time, level, event, then its fields, and `origin` for an error."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object for one record, on one line."""
        event, _, origin = record.getMessage().partition("\n")
        head = {"time": _time(record), "level": record.levelname.lower(), "event": event}
        tail = {"origin": origin} if origin else {}
        return json.dumps(head | _fields(record) | tail, default=str)


def configure_logs(level: int = logging.INFO, environment: Mapping[str, str] = os.environ) -> None:
    """Send radnode's log lines to standard error; what quotes data sets is silenced in this process.

    RADNODE_LOG_FORMAT in the environment chooses between lines and JSON. pydicom and pynetdicom
    quote the values they find fault with, as warnings and as log lines; those may be a patient's.
    """
    handler = logging.StreamHandler(sys.stderr)
    wants_json = environment.get(LOG_FORMAT_VARIABLE) == LogFormat.JSON
    handler.setFormatter(JsonFormatter() if wants_json else LineFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("radnode").setLevel(level)
    for library in ("pydicom", "pynetdicom"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    warnings.simplefilter("ignore")


def log_failure(logger: logging.Logger, what: str, error: Exception, **fields: Any) -> None:
    """Log where an error nobody expected came from; its message only if it is one of ours.

    The message of any other may quote a data set or a row, and so a patient.
    """
    frames = "".join(traceback.format_tb(error.__traceback__))
    words = f"{type(error).__name__}: {error}" if isinstance(error, RadnodeError) else type(error).__name__
    logger.error("%s\n%s%s", what, frames, words, extra={"fields": fields})


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields
