"""Requests for results of classifiers and estimators on wrapped pictures and series of every kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from results.lung_requests import MODEL, request
from results.volume_requests import volume_request
from wrapped import ct_series, mr_series, mr_slice, op, opt, secondary_capture

from node.results.request import KeyPicture, ResultRequest
from node.vocabulary import ClassProbability, Conclusion, Measurement, Pixels

SHAPE = (61, 97)
MENINGIOMA = ClassProbability("Meningioma", Code("302820008", "SCT", "Intracranial meningioma"), 0.87)
GLIOMA = ClassProbability("Glioma", Code("393564001", "SCT", "Glioma"), 0.1)
PITUITARY = ClassProbability("Pituitary tumour", Code("254956000", "SCT", "Pituitary adenoma"), 0.03)
DRUSEN = ClassProbability("Drusen", Code("DRUSEN", "99RADNODE", "Drusen"), 0.9)
HEALTHY = ClassProbability("Normal", codes.SCT.Normal, 0.1)
FEMALE = ClassProbability("Female", codes.cid7455.Female, 0.93)
MALE = ClassProbability("Male", codes.cid7455.Male, 0.07)


def tumour_type(slice_number: int | None = None) -> Conclusion:
    """Return a classification of a tumour in the brain."""
    return Conclusion(
        name="tumour_type",
        label="Tumour type",
        concept=codes.DCM.Finding,
        choices=(MENINGIOMA, GLIOMA, PITUITARY),
        site=codes.SCT.Brain,
        slice_number=slice_number,
    )


def retinal_disease(side: Code | None, slice_number: int | None = None) -> Conclusion:
    """Return a classification of an eye, of which one class has a code of our own."""
    return Conclusion(
        name="disease",
        label="Retinal disease",
        concept=codes.DCM.Finding,
        choices=(DRUSEN, HEALTHY),
        site=codes.SCT.Eye,
        side=side,
        slice_number=slice_number,
    )


def sex() -> Conclusion:
    """Return a classification whose concept is not Finding."""
    return Conclusion("sex", "Sex", codes.DCM.SubjectSex, (FEMALE, MALE))


def age(value: float = 43.1, interval: tuple[float, float] | None = (33.2, 53.0)) -> Conclusion:
    """Return an estimate in years."""
    measured = Measurement(
        codes.DCM.SubjectAge, value, codes.UCUM.Year, derivation=codes.SCT.Estimated, interval=interval
    )
    return Conclusion("age", "Age", codes.DCM.SubjectAge, measurement=measured)


def picture() -> np.ndarray:
    """Return a picture of 8 bits, not square and of odd size."""
    return (np.add.outer(np.arange(SHAPE[0]), np.arange(SHAPE[1])) % 200).astype(np.uint8)


def shown(slice_number: int | None = None, shape: tuple[int, int] = SHAPE) -> KeyPicture:
    """Return a key picture that grows brighter from row to row."""
    pixels: Pixels = np.repeat(np.linspace(0, 1, shape[0], dtype=np.float32)[:, np.newaxis], shape[1], axis=1)
    return KeyPicture(pixels, slice_number)


def on_slice(**facts: Any) -> ResultRequest:
    """Return the tumour type on one MR slice."""
    values: dict[str, Any] = {"conclusions": (tumour_type(),), "picture": shown()}
    return request(mr_slice(picture()), [], **(values | facts))


def on_series(sources: Sequence[Dataset] | None = None, **facts: Any) -> ResultRequest:
    """Return tumour type, sex and age of an MR series of five slices, the type seen best on the fourth."""
    voxels = np.random.default_rng(7).integers(0, 3000, (5, 13, 11))
    values: dict[str, Any] = {"conclusions": (tumour_type(3), sex(), age()), "picture": shown(3, (13, 11))}
    return volume_request(sources or mr_series(voxels), facts.pop("findings", ()), **(values | facts))


def on_ct(**facts: Any) -> ResultRequest:
    """Return the age of a CT series, for which no slice stands."""
    return on_series(
        ct_series(np.zeros((5, 13, 11))), **({"conclusions": (age(),), "picture": shown(2, (13, 11))} | facts)
    )


def on_opt(**facts: Any) -> ResultRequest:
    """Return the disease of a right eye, seen best on the third frame of four."""
    values: dict[str, Any] = {"conclusions": (retinal_disease(codes.SCT.Right, 2),), "picture": shown(2)}
    return request(opt(np.stack([picture()] * 4), "R"), [], **(values | facts))


def on_op(**facts: Any) -> ResultRequest:
    """Return the disease of a left eye on a colour photograph."""
    values: dict[str, Any] = {"conclusions": (retinal_disease(codes.SCT.Left),), "picture": shown()}
    return request(op(np.stack([picture()] * 3, axis=-1), "L"), [], **(values | facts))


def on_secondary_capture(**facts: Any) -> ResultRequest:
    """Return the disease of an eye of which nobody says which it is, by a model that is experimental."""
    model = replace(MODEL, is_experimental=True)
    values: dict[str, Any] = {"conclusions": (retinal_disease(None),), "picture": shown(), "model": model}
    return request(secondary_capture(picture(), "OPT"), [], **(values | facts))


ON_EVERYTHING: dict[str, Callable[..., ResultRequest]] = {
    "mr_slice": on_slice,
    "mr_series": on_series,
    "ct_series": on_ct,
    "opt": on_opt,
    "op": on_op,
    "secondary_capture": on_secondary_capture,
}
