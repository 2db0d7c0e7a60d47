"""Logs: one line per event, identifiers as fields, never a patient's name, ID or birth date."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TextIO

import pydicom

from node.errors import RadnodeError

# A variable and no setting: the log is configured before settings are read, and workers inherit it.
LOG_FORMAT_VARIABLE = "RADNODE_LOG_FORMAT"


# A burst, and what may follow it: an attack of some minutes fills 10 MiB at most, a busy day loses no line.
BURST_BYTES = 8 << 20
BYTES_PER_SECOND = 8 << 10
_RESERVED_BYTES = 1 << 20
_GAP_BYTES = 64 << 10


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


class RationedHandler(logging.StreamHandler[TextIO]):
    """Writes lines while its ration lasts; the last eighth of it is for warnings and errors.

    What is left out is counted, and the count is told once there is room again.
    """

    def __init__(self, stream: TextIO, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin with a full ration."""
        super().__init__(stream)
        self._monotonic = monotonic
        self._filled_at = monotonic()
        self._left_bytes = float(BURST_BYTES)
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it as left out."""
        now = self._monotonic()
        self._left_bytes = min(BURST_BYTES, self._left_bytes + (now - self._filled_at) * BYTES_PER_SECOND)
        self._filled_at = now
        line = self.format(record)
        cost = len(line) + 1
        if self._left_bytes - cost < self._kept_back(record):
            self._left_out += 1
            return
        self._left_bytes -= cost
        if self._left_out:
            told = {"msg": "log lines left out", "levelname": "WARNING", "fields": {"lines": self._left_out}}
            self._left_out = 0
            super().emit(logging.makeLogRecord(told))
        self._write(record, line)

    def _write(self, record: logging.LogRecord, line: str) -> None:
        """Do what StreamHandler does with a record, whose line is there already."""
        try:
            self.stream.write(line + self.terminator)
            self.flush()
        except Exception:  # noqa: BLE001 - as in StreamHandler: a log that cannot be written stops nothing
            self.handleError(record)

    def _kept_back(self, record: logging.LogRecord) -> int:
        """Return how much of the ration this record may not touch; after a gap a little more, so that gaps are few."""
        if record.levelno >= logging.WARNING:
            return 0
        return _RESERVED_BYTES + (_GAP_BYTES if self._left_out else 0)


def configure_logs(level: int = logging.INFO, environment: Mapping[str, str] = os.environ) -> None:
    """Send radnode's log lines to standard error; what quotes data sets is silenced in this process.

    RADNODE_LOG_FORMAT in the environment chooses between lines and JSON. pydicom and pynetdicom
    quote the values they find fault with, as warnings and as log lines; those may be a patient's.
    """
    handler = RationedHandler(sys.stderr)
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
