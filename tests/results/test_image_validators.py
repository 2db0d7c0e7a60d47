"""Maps, derived series and candidates beside their sources, judged by every validator of `check_objects`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from results.image_requests import candidate_request, map_request, refinement_request, small_mr
from validators import findings_or_skip
from volumes import enhanced

from node.results.encode import encode_results
from node.results.request import ResultKind, ResultRequest


def everything(sources: Sequence[Dataset]) -> ResultRequest:
    """Return candidates, a map and a finer volume of one series."""
    maps, finer = map_request(sources, count=1).maps, refinement_request(sources).refinements
    return replace(candidate_request(sources), maps=maps, refinements=finer)


SCALED = {"RescaleSlope": 0.37, "RescaleIntercept": -12.5, "BodyPartExamined": None}
CASES = {"single_frame": everything(small_mr()), "multi_frame": everything([enhanced(small_mr(**SCALED))])}


@pytest.fixture(scope="module")
def verdict(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """Return the findings of one run over all cases: file, validator, severity, text."""
    root = tmp_path_factory.mktemp("images")
    for name, made in CASES.items():
        folder = root / name
        folder.mkdir()
        results = encode_results(made)
        derived = [result for result in results if result.kind is ResultKind.DERIVED_SERIES]
        others = [result for result in results if result.kind is not ResultKind.DERIVED_SERIES]
        for number, result in enumerate([*others, derived[0], derived[-1]]):
            (folder / f"{result.kind}_{number:02}.dcm").write_bytes(result.encoded)
        for number, source in enumerate(made.sources):
            source.save_as(folder / f"source_{number}.dcm", enforce_file_format=True)
    return findings_or_skip(shared, root)


@pytest.mark.parametrize("case", CASES)
def test_the_validators_find_no_error_in_what_is_made_of_a_volume(verdict: list[list[str]], case: str) -> None:
    errors = [line for line in verdict if line[0].startswith(f"{case}/") and line[2] == "ERROR"]
    assert [line for line in errors if "/source_" not in line[0]] == []


def test_the_validators_looked_at_the_results(verdict: list[list[str]]) -> None:
    assert ("single_frame/segmentation_00.dcm", "pixelmed", "ALLOWED") in {tuple(line[:3]) for line in verdict}
