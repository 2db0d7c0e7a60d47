"""Rules tried on files, as `radnode rules test` does."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from builders import CR, chest_dx, shaded_picture, write
from click.testing import CliRunner, Result
from rows import LUNG_RULE, gathering, received

from node.catalog import Catalog, bundled_models
from node.cli import main
from node.settings import Rule, Settings
from node.studies.overview import describe_study
from node.studies.rehearsal import AssumedSender, Rehearsal, read_headers, rehearse_rules


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A frontal and a lateral chest X-ray of one study, and a file that is no DICOM inside."""
    images = tmp_path / "images"
    images.mkdir()
    write(chest_dx(shaded_picture(), study_uid="1.2.3", ViewPosition="PA"), images)
    write(chest_dx(shaded_picture(seed=2), study_uid="1.2.3", sop_class=CR, ViewPosition="LL"), images)
    (images / "broken.dcm").write_bytes(bytes(128) + b"DICM" + b"\x02\x00\x10\x00UI\x04\x00")
    return images


def rehearse(folder: Path, *rules: Rule, sender: str = "") -> Rehearsal:
    files = read_headers(sorted(folder.iterdir()), AssumedSender(sender))
    return rehearse_rules(files, Settings(rules=rules), Catalog([bundled_models()]))


def radnode(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_every_series_gets_a_decision_and_what_matches_a_job(folder: Path) -> None:
    rehearsal = rehearse(folder, LUNG_RULE.model_copy(update={"modality": ("DX", "CR")}))
    assert sorted(decision.is_match for decision in rehearsal.decisions) == [False, True]
    (job,) = rehearsal.jobs
    assert (job.model, job.inputs, job.priority, job.destinations) == (
        LUNG_RULE.model, {"image": 1}, "routine", ("PACS",)
    )  # fmt: skip


def test_a_file_that_cannot_be_read_is_named_and_stops_nothing(folder: Path) -> None:
    (fault,) = rehearse(folder, LUNG_RULE).faults
    assert fault.path.endswith("broken.dcm")


def test_a_file_that_is_there_twice_counts_once(folder: Path) -> None:
    first = next(path for path in folder.iterdir() if path.name != "broken.dcm")
    (folder / "again.dcm").write_bytes(first.read_bytes())
    assert [study.instances for study in rehearse(folder, LUNG_RULE).studies] == [2]


def test_the_sender_is_who_it_is_said_to_be(folder: Path) -> None:
    of_xray = LUNG_RULE.model_copy(update={"sender": ("XRAY1",)})
    assert rehearse(folder, of_xray).jobs == ()
    assert len(rehearse(folder, of_xray, sender="XRAY1").jobs) == 1


def test_the_rehearsal_says_what_the_node_then_decides(tmp_path: Path, folder: Path) -> None:
    side = gathering(tmp_path)
    files = list(read_headers(sorted(folder.iterdir()), AssumedSender("XRAY", "127.0.0.1")))
    for number, file in enumerate(one.instance for one in files if one.instance):
        facts = {key: str(value) for key, value in file.header.items() if isinstance(value, str)}
        side.bring(received(number, SOPClassUID=file.sop_class_uid, SeriesInstanceUID=f"1.2.3.{number}", **facts))
    side.complete()
    stored = [(d.is_match, d.reasons) for d in describe_study(side.database, "1.2.3").decisions]
    rehearsed = rehearse_rules(files, side.settings, Catalog([bundled_models()])).decisions
    assert [(d.is_match, d.reasons) for d in rehearsed] == stored


def test_a_real_series_is_found_thin_enough_or_not(shared: Path, tmp_path: Path) -> None:
    with tarfile.open(shared / "data" / "dicom_series" / "ct_chest_philips_lidc_138of275.tar.xz") as packed:
        packed.extractall(tmp_path / "ct", filter="data")
    criteria = {"slices": {"min": 100}, "slice_spacing_mm": {"max": 1.5}, "orientation": ["axial"], "kernel": "^x"}
    asks = Rule(name="thin", model=LUNG_RULE.model, destination=("sender",), **criteria)
    files = read_headers(sorted((tmp_path / "ct").rglob("*.dcm")), AssumedSender())
    (decision,) = rehearse_rules(files, Settings(rules=(asks,)), Catalog([bundled_models()])).decisions
    assert decision.instances == 138
    assert set(decision.reasons) >= {
        "orientation 'axial' matches 'axial'",
        "slices 138 matches at least 100",
        "distance between slices 2 mm does not match at most 1.5 mm",
        "ConvolutionKernel 'D' does not match '^x'",
    }


def test_the_command_prints_tables_or_json_and_needs_no_node(tmp_path: Path, folder: Path) -> None:
    assert radnode("init", tmp_path / "site").exit_code == 0
    config = tmp_path / "site" / "node.toml"
    shown = radnode("rules", "test", folder, "--config", config)
    assert shown.exit_code == 0, shown.output
    assert "ViewPosition 'LL' does not match" in shown.output
    told = json.loads(radnode("rules", "test", folder, "--config", config, "--json").stdout)
    decided = {(decision["rule"], decision["is_match"]) for decision in told["decisions"]}
    assert {is_match for rule, is_match in decided if rule == "chest X-ray lungs"} == {True, False}
    assert all(rule == "chest X-ray lungs" for rule, is_match in decided if is_match)
    assert not (tmp_path / "site" / "radnode-data").exists()


def test_a_folder_without_dicom_is_an_error(tmp_path: Path) -> None:
    assert "no DICOM file" in radnode("rules", "test", tmp_path, "--config", tmp_path / "node.toml").output
