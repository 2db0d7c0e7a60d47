"""How long a job may take."""

from __future__ import annotations

from pathlib import Path

import pytest
from model_copies import copy_model

from node.catalog import Catalog
from node.errors import ModelCardError
from node.inference.limits import limits_of
from node.settings import WorkersSection


def model_with(folder: Path, limits: str) -> Catalog:
    """Return a catalog with one model whose card ends with these lines."""
    model = copy_model("chest_dx_lungs", folder / "chest_dx_lungs")
    with (model / "model.toml").open("a") as card:
        card.write(f"\n{limits}\n")
    return Catalog([folder])


def test_a_model_may_have_a_deadline_of_its_own(tmp_path: Path) -> None:
    catalog = model_with(tmp_path, "[limits]\ndeadline_seconds = 1200.0")
    limits = limits_of(WorkersSection(deadline_seconds=300.0, lease_seconds=30.0), catalog)
    assert limits.deadline_of("chest_dx_lungs") == 1200.0
    assert limits.deadline_of("any_other_model") == 300.0
    assert limits.renewal_seconds == 10.0


def test_without_one_the_nodes_deadline_holds(tmp_path: Path) -> None:
    limits = limits_of(WorkersSection(deadline_seconds=7.0), model_with(tmp_path, ""))
    assert limits.deadline_of("chest_dx_lungs") == 7.0


def test_a_deadline_that_is_no_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelCardError, match=r"limits\.deadline_seconds"):
        model_with(tmp_path, "[limits]\ndeadline_seconds = 0")
