"""Logs: one line per event, identifiers as fields, never a patient's name, ID or birth date."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime


class LineFormatter(logging.Formatter):
    """Writes `time level event key=value …`, then the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for one record."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = "".join(f" {key}={value}" for key, value in getattr(record, "fields", {}).items())
        line = f"{at} {record.levelname.lower()} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure_logs(level: int = logging.INFO) -> None:
    """Send radnode's log lines to standard error; other libraries' only from warnings upwards."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("radnode").setLevel(level)
