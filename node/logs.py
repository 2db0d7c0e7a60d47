"""Logs: one line per event, identifiers as fields, never a patient's name, ID or birth date."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from datetime import UTC, datetime
from typing import Any

import pydicom

from node.errors import RadnodeError


class LineFormatter(logging.Formatter):
    """Writes `time level event key=value …`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for one record."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = "".join(f" {key}={value}" for key, value in getattr(record, "fields", {}).items())
        return f"{at} {record.levelname.lower()} {record.getMessage()}{fields}"


def configure_logs(level: int = logging.INFO) -> None:
    """Send radnode's log lines to standard error; what quotes data sets is silenced in this process.

    pydicom and pynetdicom quote the values they find fault with, as warnings and as log lines; those
    may be a patient's.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
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
