"""A number for each voxel comes back where and as it was encoded, with its quantity and unit."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import highdicom as hd
import numpy as np
import pytest
from builders import chest_dx, shaded_picture
from pydicom import dcmread
from pydicom.dataset import Dataset
from results.image_requests import ERROR, map_request
from results.lung_requests import request as planar_request
from results.volume_requests import ORIENTATIONS, enhanced_series, mr_series

from node.errors import FindingRefused, IdentityMismatch
from node.results.encode import encode_results
from node.results.identity import check_results
from node.results.read_back import read_map, read_sentences
from node.results.request import ResultKind, ResultRequest
from node.vocabulary import study_identity

SERIES = {name: mr_series(ORIENTATIONS[name]) for name in ("axial", "oblique")}
SERIES["enhanced"] = enhanced_series(ORIENTATIONS["coronal"])


def objects(made: ResultRequest, kind: ResultKind = ResultKind.PARAMETRIC_MAP) -> list[Dataset]:
    return [dcmread(BytesIO(result.encoded)) for result in encode_results(made) if result.kind is kind]


@pytest.mark.parametrize("name", SERIES)
def test_every_value_comes_back_on_the_slice_it_was_computed_on(name: str) -> None:
    made = map_request(SERIES[name])
    (encoded,) = objects(made)
    assert np.array_equal(read_map(encoded, made.slice_sources), made.maps[0].values)


@pytest.mark.parametrize("name", SERIES)
def test_another_library_puts_the_values_where_the_volume_is(name: str) -> None:
    made = map_request(SERIES[name])
    (encoded,) = objects(made)
    volume = hd.pm.ParametricMap.from_dataset(encoded).get_volume(apply_real_world_transform=True)
    assert made.grid is not None
    for index in np.argwhere(np.ones(volume.array.shape, bool))[::37]:
        place = np.rint(made.grid.index_of(volume.map_indices_to_reference(index[np.newaxis])[0])).astype(int)
        assert volume.array[tuple(index)] == made.maps[0].values[tuple(place)]


def test_a_map_says_which_quantity_it_shows_in_which_unit() -> None:
    (encoded,) = objects(map_request(SERIES["oblique"]))
    (mapping,) = encoded.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    (quantity,) = mapping.QuantityDefinitionSequence
    assert quantity.ConceptCodeSequence[0].CodeMeaning == ERROR.meaning
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "[arb'U]"
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1.0, 0.0)
    (scheme,) = encoded.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99RADNODE"
    assert encoded.ContentQualification == "RESEARCH"


def test_each_map_of_a_job_is_a_series_of_its_own() -> None:
    made = map_request(SERIES["axial"], count=2)
    one, other = objects(made)
    assert (one.SeriesNumber, other.SeriesNumber) == (110, 111)
    assert one.SeriesInstanceUID != other.SeriesInstanceUID
    assert one.SOPInstanceUID != other.SOPInstanceUID
    assert np.array_equal(read_map(other, made.slice_sources), made.maps[1].values)


def test_equal_maps_of_sources_in_any_order_give_equal_bytes() -> None:
    sources = SERIES["oblique"]
    digest = map_request(sources).inputs_digest
    assert encode_results(map_request(sources)) == encode_results(map_request(sources[::-1], inputs_digest=digest))


def test_a_map_is_announced_in_words() -> None:
    (report,) = objects(map_request(SERIES["axial"]), ResultKind.TEXT_REPORT)
    assert any(sentence.startswith("Reconstruction error:") for sentence in read_sentences(report))


def test_a_map_on_another_grid_is_refused() -> None:
    made = map_request(SERIES["axial"])
    cut = replace(made.maps[0], values=made.maps[0].values[1:])
    with pytest.raises(FindingRefused, match=r"map error_0: it has shape \(4, 13, 11\), its source \(5, 13, 11\)"):
        encode_results(replace(made, maps=(cut,)))


def test_a_map_that_holds_no_numbers_is_refused() -> None:
    made = map_request(SERIES["axial"])
    made.maps[0].values[0, 0, 0] = np.nan
    with pytest.raises(FindingRefused, match="some of its values are no numbers"):
        encode_results(made)


def test_a_map_of_a_projection_image_is_refused() -> None:
    (value_map,) = map_request(SERIES["axial"]).maps
    planar = planar_request(chest_dx(shaded_picture()), [], maps=(replace(value_map, values=value_map.values[0]),))
    with pytest.raises(FindingRefused, match="every voxel of a volume"):
        encode_results(planar)


def test_a_map_belongs_to_its_sources_and_a_moved_frame_does_not() -> None:
    sources = SERIES["enhanced"]
    encoded = [dcmread(BytesIO(result.encoded)) for result in encode_results(map_request(sources))]
    check_results(encoded, sources, study_identity(sources[0]))
    position = encoded[-1].PerFrameFunctionalGroupsSequence[2].PlanePositionSequence[0]
    position.ImagePositionPatient = [0, 0, 0]
    with pytest.raises(IdentityMismatch, match="frame 3: ImagePositionPatient"):
        check_results(encoded, sources, study_identity(sources[0]))
