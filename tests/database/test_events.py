"""Events: what a person has to look at stands out in the log."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.database import Database, EventName, record_event

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "name",
    [
        EventName.INSTANCE_CONFLICT,
        EventName.FILE_MISSING,
        EventName.STUDY_HELD,
        EventName.JOB_FAILED,
        EventName.DELIVERY_DEAD,
    ],
)
def test_what_needs_a_person_is_an_error_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: EventName
) -> None:
    database = Database(tmp_path / "radnode.db")
    database.migrate()
    with database.writing() as session:
        record_event(session, AT, name, None)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [("ERROR", str(name))]
    database.close()
