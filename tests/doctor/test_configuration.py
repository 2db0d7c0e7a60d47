"""What the doctor says of the three configuration files and of where results go."""

from __future__ import annotations

from pathlib import Path

import pytest
from rows import LUNG_RULE, PEERS, gathering, received

from node.catalog import bundled_config
from node.doctor.check import CheckResult, State, carry_out
from node.doctor.configuration import check_destinations, check_rules, configuration_checks
from node.settings import NodeSection, Settings

TO_SENDER = LUNG_RULE.model_copy(update={"destination": ("sender",)})


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for name in ("node.toml", "peers.toml", "routes.toml"):
        (tmp_path / name).write_bytes((bundled_config() / name).read_bytes())
    return tmp_path / "node.toml"


def examined(config: Path, environment: dict[str, str] | None = None) -> dict[str, CheckResult]:
    return {result.name: result for result in carry_out(configuration_checks(config, environment or {}))}


def test_the_default_configuration_is_in_order(site: Path) -> None:
    results = examined(site, {"RADNODE_DICOM_PORT": "104"})
    assert {result.state for result in results.values()} == {State.OK}
    assert list(results) == ["node.toml", "peers.toml", "routes.toml", "environment"]
    assert results["environment"].found == "RADNODE_DICOM_PORT"


@pytest.mark.parametrize(
    ("name", "line", "word"),
    [
        ("node.toml", "\n[dicon]\nport = 1\n", "dicon"),
        ("peers.toml", '[peer.PACS]\nae_title = "ORTHANC"\nhost = "pacs"\nport = "here"\n', "here"),
        ("routes.toml", '[[rule]]\nname = "x"\nmodel = "y"\ndestination = ["NOWHERE"]\n', "NOWHERE"),
    ],
)
def test_a_fault_is_told_of_the_file_it_is_in_and_of_no_other(site: Path, name: str, line: str, word: str) -> None:
    with (site.parent / name).open("a") as file:
        file.write(line)
    results = examined(site)
    assert {name for name, result in results.items() if result.state is State.ERROR} == {name}
    assert word in results[name].found
    assert results[name].advice


def test_a_missing_file_is_an_error_that_names_init(site: Path) -> None:
    (site.parent / "routes.toml").unlink()
    result = examined(site)["routes.toml"]
    assert (result.state, "radnode init" in result.found + result.advice) == (State.ERROR, True)


def test_a_mistyped_variable_is_an_error_of_the_environment(site: Path) -> None:
    results = examined(site, {"RADNODE_PORT": "104"})
    assert {name for name, result in results.items() if result.state is State.ERROR} == {"environment"}
    assert "RADNODE_PORT" in results["environment"].found


def test_a_node_without_rules_analyses_nothing() -> None:
    assert check_rules(Settings()).state is State.WARNING
    assert check_rules(Settings(rules=(LUNG_RULE.model_copy(update={"enabled": False}),))).state is State.WARNING
    assert check_rules(Settings(rules=(LUNG_RULE,))).state is State.OK


def test_results_for_the_sender_need_a_peer() -> None:
    assert check_destinations(Settings(rules=(TO_SENDER,))).state is State.ERROR
    assert check_destinations(Settings(rules=(TO_SENDER,), peers=PEERS)).state is State.OK


def test_a_sender_that_is_no_peer_will_get_no_results(tmp_path: Path) -> None:
    gathering(tmp_path).bring(received(), calling="STRANGER")
    settings = Settings(node=NodeSection(data=tmp_path), peers=PEERS, rules=(TO_SENDER,))
    outcome = check_destinations(settings)
    assert (outcome.state, "STRANGER" in outcome.found) == (State.WARNING, True)
    known = settings.model_copy(update={"rules": (LUNG_RULE,)})
    assert check_destinations(known).state is State.OK
