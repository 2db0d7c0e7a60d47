"""storescp, pynetdicom's documented receiver and Orthanc under the attacks that this node withstands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from dcmtk import needs_dcmtk
from orthanc import namespace, require_orthanc


@pytest.mark.long
@pytest.mark.timeout(3600)
@needs_dcmtk
def test_no_other_receiver_does_better_under_any_attack(tmp_path: Path) -> None:
    require_orthanc()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "tests")))}
    with namespace() as network:
        command = network.command(sys.executable, REPOSITORY / "tests" / "peers" / "compare.py", tmp_path)
        subprocess.run(command, check=True, env=environment, timeout=3500)
    record = REPOSITORY / "dist"
    record.mkdir(exist_ok=True)
    (record / "compared.md").write_text((tmp_path / "compared.md").read_text())
    found = json.loads((tmp_path / "compared.json").read_text())
    for what, outcome in found["radnode"].items():
        assert outcome["harm"] == min(column[what]["harm"] for column in found.values()), what
