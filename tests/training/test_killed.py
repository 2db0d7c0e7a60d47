"""A training whose process is killed, wherever that is in what it writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import REPOSITORY
from weights import read_weights

from node.training.epoch_log import read_log

STRIDE = 9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a whole training and of those that were killed and resumed, told in kills.jsonl."""
    folder = tmp_path_factory.mktemp("kills")
    command = [sys.executable, str(REPOSITORY / "tests" / "killed_training.py"), str(folder), str(STRIDE)]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=380)
    (folder / "kills.jsonl").write_text(answer.stdout)
    assert answer.returncode == 0, answer.stderr[-2000:]
    return folder


@pytest.fixture(scope="module")
def kills(folder: Path) -> list[Mapping[str, Any]]:
    found = [json.loads(line) for line in (folder / "kills.jsonl").read_text().splitlines()]
    assert len(found) > 5
    assert all(kill["killed"] for kill in found)
    return found


def test_a_training_killed_anywhere_can_be_resumed(kills: list[Mapping[str, Any]]) -> None:
    assert [kill["place"] for kill in kills if not kill["resumed"]] == []


def test_a_kill_costs_no_more_than_the_epoch_that_was_running(kills: list[Mapping[str, Any]]) -> None:
    assert {last for kill in kills for last in kill["before"][-1:]} == {0, 1, 2}
    for kill in kills:
        running = max(kill["before"], default=0)
        first = min(kill["after"], default=3)
        assert kill["after"] == list(range(first, 3)), kill
        assert running <= first <= running + 1, kill


def test_a_training_killed_and_resumed_ends_with_the_weights_of_one_that_was_not(
    folder: Path, kills: list[Mapping[str, Any]]
) -> None:
    whole = read_weights(folder / "whole" / "best.weights.h5")
    for kill in kills:
        output = folder / f"killed_{kill['place']}"
        found = read_weights(output / "best.weights.h5")
        assert found.keys() == whole.keys()
        for name, values in whole.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-6, err_msg=f"{kill} {name}")
        assert [row["epoch"] for row in read_log(output / "epochs.csv")] == [0, 1, 2]
        assert not (output / "backup").exists()
