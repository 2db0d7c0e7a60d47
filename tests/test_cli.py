"""The command as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import chest_dx, shaded_picture, write
from click.testing import CliRunner, Result
from rows import gathering, received

from node.cli import main
from node.demo.pacs import SmallPacs
from node.jobs.queue import StoredResult


def radnode(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A node's folder with one study whose results could not be delivered."""
    assert radnode("init", tmp_path).exit_code == 0
    data = tmp_path / "radnode-data"
    data.mkdir()
    side = gathering(data)
    side.bring(received())
    side.complete()
    claim = side.queue.claim("worker-1")
    assert claim
    side.queue.finish(claim, [StoredResult("segmentation", "1.2", "2.25.1", "2.25.0", "results/1.dcm", "00")])
    return tmp_path / "node.toml"


def test_init_writes_the_three_files_and_keeps_what_is_there(tmp_path: Path) -> None:
    assert radnode("init", tmp_path / "new").exit_code == 0
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["node.toml", "peers.toml", "routes.toml"]
    (tmp_path / "new" / "peers.toml").write_text("# mine\n")
    assert "kept" in radnode("init", tmp_path / "new").output
    assert (tmp_path / "new" / "peers.toml").read_text() == "# mine\n"


def test_studies_list_prints_a_table_or_json(config: Path) -> None:
    assert "analysing" in radnode("studies", "list", "--config", config).output
    (study,) = json.loads(radnode("studies", "list", "--config", config, "--json").output)
    assert (study["study_instance_uid"], study["state"], study["instances"]) == ("1.2.3", "analysing", 1)


def test_studies_show_tells_why_a_rule_matched(config: Path) -> None:
    shown = radnode("studies", "show", "1.2.3", "--config", config)
    assert "Modality 'DX' matches" in shown.output
    detail = json.loads(radnode("studies", "show", "1.2.3", "--config", config, "--json").output)
    assert detail["decisions"][0]["is_match"] is True
    names = [event["name"] for event in detail["events"]]
    assert names[:4] == ["association opened", "instance kept", "association closed", "study complete"]


def test_an_unknown_study_is_an_error_with_a_next_step(config: Path) -> None:
    shown = radnode("studies", "show", "9.9", "--config", config)
    assert shown.exit_code == 1
    assert "9.9: not in" in shown.output
    assert "radnode studies list" in shown.output


def test_deliveries_can_be_listed_and_sent_again(config: Path) -> None:
    (line,) = json.loads(radnode("deliveries", "list", "--config", config, "--json").output)
    assert (line["destination"], line["state"]) == ("PACS", "pending")
    assert "0 queued again" in radnode("deliveries", "resend", "--dead", "--config", config).output
    assert radnode("deliveries", "resend", "--config", config).exit_code == 2


def test_a_node_that_never_ran_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    radnode("init", tmp_path)
    shown = radnode("studies", "list", "--config", tmp_path / "node.toml")
    assert shown.exit_code == 1
    assert "radnode serve" in shown.output


def test_a_missing_configuration_says_how_to_make_one(tmp_path: Path) -> None:
    shown = radnode("serve", "--config", tmp_path / "node.toml")
    assert shown.exit_code == 1
    assert "radnode init" in shown.output


def test_models_list_names_what_is_installed() -> None:
    models = {model["name"]: model for model in json.loads(radnode("models", "list", "--json").output)}
    assert "DX" in models["chest_dx_lungs"]["modality"]


def test_models_check_runs_the_network(tmp_path: Path) -> None:
    assert "are in order" in radnode("models", "check", "chest_dx_lungs").output
    shown = radnode("models", "check", "absent")
    assert shown.exit_code == 1
    assert "installed: brain_mr_age, " in shown.output


def test_send_sends_every_dicom_file_and_leaves_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    for seed in (1, 2, 3):
        write(chest_dx(shaded_picture(seed=seed)), folder / str(seed))
    (folder / "notes.txt").write_text("not DICOM")
    with SmallPacs(tmp_path / "pacs") as pacs:
        shown = radnode("send", folder, "--host", "127.0.0.1", "--port", pacs.port, "--called", "SMALLPACS")
        assert len(pacs.received()) == 3
    assert shown.exit_code == 0
    assert "3 of 3 instances taken by SMALLPACS" in shown.output


def test_send_to_nobody_fails_with_the_address(tmp_path: Path) -> None:
    write(chest_dx(shaded_picture()), tmp_path / "s")
    shown = radnode("send", tmp_path / "s", "--port", 1)
    assert shown.exit_code == 1
    assert "127.0.0.1:1" in shown.output


def test_send_of_a_folder_without_dicom_says_so(tmp_path: Path) -> None:
    shown = radnode("send", tmp_path)
    assert shown.exit_code == 1
    assert "no DICOM file" in shown.output


def test_every_verb_explains_itself() -> None:
    groups = [("",), ("studies",), ("models",), ("deliveries",)]
    for words in groups:
        shown = radnode(*filter(None, words), "--help").output
        lines = shown.split("Commands:")[1].strip().splitlines()
        assert all(len(line.split(maxsplit=1)) == 2 for line in lines)

