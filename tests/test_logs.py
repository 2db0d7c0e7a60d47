"""What stands in the log, and what never may."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from node.errors import StudyRefused
from node.logs import BURST_BYTES, JsonFormatter, LineFormatter, RationedHandler, log_failure

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


def test_a_json_line_holds_the_same_with_each_field_under_its_name() -> None:
    record = logging.makeLogRecord({"msg": "job done", "levelname": "INFO", "created": 0.0, "fields": {"job": 7}})
    line = JsonFormatter().format(record)
    assert json.loads(line) == {"time": "1970-01-01T00:00:00.000+00:00", "level": "info", "event": "job done", "job": 7}


def test_a_failure_is_one_json_line_with_its_origin_apart(caplog: pytest.LogCaptureFixture) -> None:
    words = "SECRET"
    try:
        raise ValueError(words)
    except ValueError as error:
        log_failure(logging.getLogger("radnode.test"), "step failed", error, loop="outbox")
    (record,) = caplog.records
    line = JsonFormatter().format(record)
    event = json.loads(line)
    assert "\n" not in line
    assert (event["event"], event["level"], event["loop"]) == ("step failed", "error", "outbox")
    assert "test_logs.py" in event["origin"]
    assert event["origin"].endswith("ValueError")
    assert "SECRET" not in line


@pytest.mark.parametrize(
    ("environment", "kind"), [({}, LineFormatter), ({"RADNODE_LOG_FORMAT": "json"}, JsonFormatter)]
)
def test_the_environment_chooses_the_format(environment: dict[str, str], kind: type[logging.Formatter]) -> None:
    code = (
        "import logging; from node.logs import configure_logs; "
        f"configure_logs(environment={environment}); print(type(logging.getLogger().handlers[0].formatter).__name__)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == kind.__name__


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


def said(text: str, level: int) -> logging.LogRecord:
    named = logging.getLevelName(level)
    return logging.makeLogRecord({"msg": text, "levelno": level, "levelname": named, "created": 0.0})


def test_no_attack_fills_the_log_and_an_error_is_still_told(tmp_path: Path) -> None:
    now = [0.0]
    log = tmp_path / "node.log"
    with log.open("w") as stream:
        handler = RationedHandler(stream, lambda: now[0])
        handler.setFormatter(LineFormatter())
        for _ in range(5000):
            handler.emit(said("instance kept " + "x" * 4000, logging.INFO))
            now[0] += 120 / 5000
        handler.emit(said("job failed", logging.ERROR))
    assert 7 << 20 < log.stat().st_size < 10 << 20
    lines = log.read_text().splitlines()
    assert lines[-1].endswith("error job failed")
    (told,) = [line for line in lines[-2:] if "log lines left out" in line]
    assert int(told.rpartition("=")[2]) + sum("instance kept" in line for line in lines) <= 5000


def test_what_was_left_out_is_counted_once_there_is_room() -> None:
    now = [0.0]
    stream = io.StringIO()
    handler = RationedHandler(stream, lambda: now[0])
    for _ in range(12):
        handler.emit(said("x" * (1 << 20), logging.INFO))
    assert len(stream.getvalue()) < BURST_BYTES
    assert "left out" not in stream.getvalue()
    now[0] += 3600
    handler.emit(said("later", logging.INFO))
    assert stream.getvalue().endswith("log lines left out\nlater\n")
