"""How this gate is scored: upright chests against all that should be refused, through `prepare` and `interpret`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.errors import StudyRefused
from node.imaging.image import PlanarImage
from node.training.comparison import NETWORK, Case, Comparison, Measure
from node.training.evaluation_report import circumstances_of, write_evaluation
from node.training.samples import Split
from node.training.statistics import Statistic, area_under_curve_of, ratio_of
from node.vocabulary import Pixels

from .architecture import build
from .collection import read_nih, read_others, read_uprights
from .dealing import TURNED
from .preprocess import INVERTED, KINDS, OTHER, TURNED_LEFT, UPRIGHT, interpret, prepare
from .sources import NamedPicture

BASELINE = "likeness_to_mean_chest"
REAL, MADE = "real", "made from upright ones"
AT_ONCE = 32

MEASURES = (
    Measure("auc", "AUC, all kinds"),
    Measure("auc_lying", "AUC, chests lying in their picture"),
    Measure("auc_turned", "AUC, chests turned by us"),
    Measure("auc_inverted", "AUC, chests inverted by us"),
    Measure("auc_other", "AUC, no frontal chest"),
    Measure("false_refusals", "Upright chests refused", higher_is_better=False),
    Measure("refused", "Others refused"),
)


@dataclass(frozen=True)
class Exhibit:
    """A picture, the kind it is, and whether it came so or was made from an upright one."""

    picture: NamedPicture
    kind: str
    origin: str = REAL


def evaluate(data: Path, weights: Path, split: Split, day: date) -> Path:
    """Score the weights and a comparison with the mean chest on one split, and report beside the weights."""
    exhibits = list(exhibits_of(data, split))
    probabilities = predict([exhibit.picture.image for exhibit in exhibits], weights)
    usual = _mean_chest(data)
    alike = [_likeness(prepare(exhibit.picture.image)[0, :, :, 0], usual) for exhibit in exhibits]
    circumstances = circumstances_of("chest_dx_frontal", weights, data, split.value, day)
    return write_evaluation(_compare(exhibits, probabilities, np.asarray(alike)), circumstances, weights.parent)


def exhibits_of(data: Path, split: Split) -> Iterator[Exhibit]:
    """Yield the pictures of a split: chests as they are, turned and inverted, lying ones, and others."""
    for picture in read_uprights(data, split):
        if picture.group == "projected":
            continue
        yield Exhibit(picture, UPRIGHT)
        for turns, kind in enumerate(TURNED):
            if turns:
                yield Exhibit(_changed(picture, np.rot90(picture.image.pixels, turns)), kind, MADE)
        yield Exhibit(_changed(picture, 1.0 - picture.image.pixels), INVERTED, MADE)
    if split is Split.TEST:
        yield from (Exhibit(picture, TURNED_LEFT) for picture in read_nih(data, "rotated90"))
    yield from (Exhibit(picture, OTHER) for picture in read_others(data, split))


def predict(images: Sequence[PlanarImage], weights: Path) -> Pixels:
    """Return the (pictures, kinds) probabilities that the network gives."""
    network = build()
    network.load_weights(weights)
    batch = np.concatenate([prepare(image) for image in images])
    parts = [batch[start : start + AT_ONCE] for start in range(0, len(batch), AT_ONCE)]
    return np.concatenate([np.asarray(network(part, training=False)) for part in parts])


def _compare(exhibits: Sequence[Exhibit], probabilities: Pixels, alike: NDArray[np.float64]) -> Comparison:
    scores = {NETWORK: probabilities[:, KINDS.index(UPRIGHT)].astype(float), BASELINE: alike}
    methods = {method: _areas(exhibits, values) for method, values in scores.items()}
    refused = np.array([_is_refused(row[np.newaxis], one) for row, one in zip(probabilities, exhibits, strict=True)])
    upright = np.array([exhibit.kind == UPRIGHT for exhibit in exhibits])
    methods[NETWORK]["false_refusals"] = ratio_of(refused & upright, upright)
    methods[NETWORK]["refused"] = ratio_of(refused & ~upright, ~upright)
    cases = tuple(
        Case(
            name=exhibit.picture.name,
            patient=exhibit.picture.patient,
            scores={method: {"auc": float(values[number])} for method, values in scores.items()},
            groups=(exhibit.picture.group,),
            facts={
                "kind": exhibit.kind,
                "origin": exhibit.origin,
                "answer": KINDS[int(np.argmax(probabilities[number]))],
                "refused": str(bool(refused[number])),
            },
        )
        for number, exhibit in enumerate(exhibits)
    )
    return Comparison(cases, MEASURES, methods, noun="pictures")


def _areas(exhibits: Sequence[Exhibit], scores: NDArray[np.float64]) -> dict[str, Statistic]:
    """Return the areas under the curve of upright chests against all others, and against each kind of them."""
    upright = np.array([exhibit.kind == UPRIGHT for exhibit in exhibits])
    inverted = np.array([exhibit.kind == INVERTED for exhibit in exhibits])
    other = np.array([exhibit.kind == OTHER for exhibit in exhibits])
    made = np.array([exhibit.origin == MADE for exhibit in exhibits])
    turned = ~(upright | inverted | other)
    against = {
        "auc": ~upright,
        "auc_lying": turned & ~made,
        "auc_turned": turned & made,
        "auc_inverted": inverted,
        "auc_other": other,
    }
    areas = {key: _among(area_under_curve_of(scores, upright), upright | part) for key, part in against.items()}
    return {key: area for key, area in areas.items() if against[key].any()}


def _among(statistic: Statistic, counted: NDArray[np.bool_]) -> Statistic:
    """Return the statistic of some of the cases."""
    return lambda weights: statistic(weights * counted)


def _is_refused(prediction: Pixels, exhibit: Exhibit) -> bool:
    try:
        interpret(prediction, exhibit.picture.image)
    except StudyRefused:
        return True
    return False


def _mean_chest(data: Path) -> Pixels:
    """Return the mean of the upright chests that training saw, as the network sees them."""
    seen = [prepare(picture.image)[0, :, :, 0] for picture in read_uprights(data, Split.TRAIN)]
    return np.asarray(np.mean(seen, axis=0), np.float32)


def _likeness(picture: Pixels, usual: Pixels) -> float:
    """Return the correlation of a picture with the mean chest."""
    return float(np.corrcoef(picture.ravel(), usual.ravel())[0, 1])


def _changed(picture: NamedPicture, pixels: Pixels) -> NamedPicture:
    changed = np.ascontiguousarray(pixels, np.float32)
    return replace(picture, image=PlanarImage(changed, np.zeros(changed.shape, np.bool_)))
