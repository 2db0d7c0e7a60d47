"""What stands in the log, and what never may."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from node.errors import StudyRefused
from node.logs import LineFormatter, log_failure

LEAKY = """
import warnings, logging
from node.logs import configure_logs
configure_logs()
warnings.warn("SECRET in a warning")
logging.getLogger("pydicom").warning("SECRET in pydicom's log")
logging.getLogger("pynetdicom.acse").error("SECRET in pynetdicom's log")
logging.getLogger("radnode").info("an event")
"""


def test_a_line_is_time_level_event_and_fields() -> None:
    record = logging.makeLogRecord({"msg": "job done", "levelname": "INFO", "created": 0.0, "fields": {"job": 7}})
    assert LineFormatter().format(record) == "1970-01-01T00:00:00.000+00:00 info job done job=7"


@pytest.mark.parametrize(
    ("error", "is_shown"), [(StudyRefused("ours to show"), True), (ValueError("ours to show"), False)]
)
def test_a_failure_shows_its_message_only_if_it_is_ours(
    caplog: pytest.LogCaptureFixture, error: Exception, is_shown: bool
) -> None:
    log_failure(logging.getLogger("radnode.test"), "step failed", error, loop="x")
    assert ("ours to show" in caplog.text) is is_shown
    assert type(error).__name__ in caplog.text


def test_other_libraries_do_not_speak_of_what_they_read() -> None:
    answer = subprocess.run([sys.executable, "-c", LEAKY], capture_output=True, text=True, check=True)
    assert "an event" in answer.stderr
    assert "SECRET" not in answer.stderr + answer.stdout
