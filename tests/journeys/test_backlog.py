"""A node that was killed with a long backlog takes associations again within seconds."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from pathlib import Path

from faulty import FaultServer, FaultyNode, Pacs

from node.archive import Archive
from node.database import Database

STUDIES = 10_000
LONGEST_SECONDS = 10.0
NOW = "2026-01-01 00:00:00.000000"


def fill(data: Path, studies: int) -> None:
    """Write a study with one instance and one queued job so many times, as rows and files."""
    database = Database(data / "radnode.db")
    database.migrate()
    database.close()
    Archive(data)
    with sqlite3.connect(data / "radnode.db") as rows:
        association = (1, "XRAY", "127.0.0.1", "RADNODE", NOW, NOW, "released")
        rows.execute("INSERT INTO associations VALUES (?, ?, ?, ?, ?, ?, ?)", association)
        for number in range(1, studies + 1):
            name = hashlib.sha256(str(number).encode()).hexdigest()
            path = f"instances/{name[:2]}/{name}.dcm"
            (data / path).touch()
            for table, values in rows_of(number, path, name).items():
                columns, marks = ", ".join(values), ", ".join("?" * len(values))
                rows.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(values.values()))


def rows_of(number: int, path: str, sha256: str) -> dict[str, dict[str, object]]:
    text = dict.fromkeys(
        ("patient_id", "patient_name", "patient_birth_date", "patient_sex", "study_id", "study_date"), "x"
    )
    study = {"id": number, "study_instance_uid": f"1.2.{number}", "state": "analysing", "reason": "", "held_from": ""}
    study |= text | {"revision": 1, "accession_number": "", "description": "", "received_at": NOW}
    study |= {"last_instance_boot_id": "", "last_instance_seconds": 0.0}
    series = {"id": number, "study_id": number, "series_instance_uid": f"1.2.{number}.1", "modality": "DX"}
    instance = {"id": number, "series_id": number, "association_id": 1, "sop_instance_uid": f"1.2.{number}.1.1"}
    instance |= {"sop_class_uid": "1.2.3", "transfer_syntax_uid": "1.2.840.10008.1.2", "header": "{}", "path": path}
    instance |= {"sha256": sha256, "size": 0, "is_own_result": 0, "received_at": NOW}
    job = {"study_id": number, "revision": 1, "sender": "XRAY", "priority": 0, "virtual_time": float(number)}
    job |= {"model": "a_model", "model_sha256": "0", "inputs_digest": "0", "destinations": "[]", "state": "queued"}
    job |= dict.fromkeys(("reason", "worker", "token", "lease_boot_id"), "")
    job |= {"attempts": 0, "lease_until_seconds": 0.0, "created_at": NOW}
    return {"studies": study, "series": series | {"description": ""}, "instances": instance, "jobs": job}


def test_a_node_with_ten_thousand_unfinished_studies_listens_within_ten_seconds(tmp_path: Path) -> None:
    server = FaultServer()
    node = FaultyNode(server, tmp_path, Pacs(port=1))
    node.data.mkdir()
    fill(node.data, STUDIES)
    node.start()
    try:
        node.until_it_listens()
        assert processor_seconds(node.pid) < LONGEST_SECONDS
    finally:
        node.kill()
        server.stop()
    assert "error files and rows differed" not in node.log


def processor_seconds(pid: int) -> float:
    """Return what a process has had of the processors: what others take meanwhile is not its fault."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
