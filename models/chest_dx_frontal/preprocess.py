"""What the gate sees of a picture, and when its answer keeps the picture from the models behind it."""

from __future__ import annotations

import numpy as np

from node.errors import StudyRefused
from node.imaging.image import PlanarImage
from node.imaging.normalise import stretch_exposure
from node.imaging.orientation import turn_to_display
from node.imaging.resample import letterbox
from node.vocabulary import Classification, Interpretation, Pixels

SIZE = 128

UPRIGHT = "upright"
TURNED_LEFT = "turned_left"
TURNED_RIGHT = "turned_right"
UPSIDE_DOWN = "upside_down"
INVERTED = "inverted"
OTHER = "other"
KINDS = (UPRIGHT, TURNED_LEFT, TURNED_RIGHT, UPSIDE_DOWN, INVERTED, OTHER)  # in the order of the network

# Chosen on validation (card.md): an upright chest passes from this probability on.
LEAST_PROBABILITY = 0.6

LEAST_SUM = 1e-6  # a network that answers nothing at all names no kind

REASONS = {
    TURNED_LEFT: "the picture lies on its side, the head to the left",
    TURNED_RIGHT: "the picture lies on its side, the head to the right",
    UPSIDE_DOWN: "the picture is upside down",
    INVERTED: "the grey values are inverted: air looks white",
    OTHER: "the picture shows no frontal chest",
}
REMEDIES = {
    TURNED_LEFT: "turn it at the modality, or state PatientOrientation",
    TURNED_RIGHT: "turn it at the modality, or state PatientOrientation",
    UPSIDE_DOWN: "turn it at the modality, or state PatientOrientation",
    INVERTED: "correct PhotometricInterpretation or PresentationLUTShape",
    OTHER: "send a frontal view of the whole chest",
}


def prepare(image: PlanarImage) -> Pixels:
    """Return (1, 128, 128, 1) in -1..1: the image as displayed, letterboxed, contrast stretched.

    Raises StudyRefused for a view that the header calls lateral and PixelsRefused for one without contrast.
    """
    turn = turn_to_display(image)
    picture = letterbox(turn.apply(image.pixels), SIZE)
    seen = letterbox(turn.apply(~image.padding).astype(np.float32), SIZE) > 0.5
    return stretch_exposure(picture, seen)[np.newaxis, :, :, np.newaxis]


def interpret(prediction: Pixels, image: PlanarImage) -> Interpretation:  # noqa: ARG001
    """Say that the picture is an upright frontal chest; raises StudyRefused, with the reason, where it is not.

    `prediction` is (1, 6), the probability of each of `KINDS`.
    """
    shares = prediction[0] / max(float(prediction[0].sum()), LEAST_SUM)
    probabilities = dict(zip(KINDS, shares.tolist(), strict=True))
    if probabilities[UPRIGHT] < LEAST_PROBABILITY:
        _refuse(probabilities)
    return Interpretation(classifications=(Classification("kind", probabilities),))


def _refuse(probabilities: dict[str, float]) -> None:
    """Raise StudyRefused with what the picture most probably is instead of an upright chest."""
    kind = max(REASONS, key=lambda name: probabilities[name])
    raise StudyRefused(
        f"{REASONS[kind]} (probability of an upright frontal chest {probabilities[UPRIGHT]:.2f}, expected at least "
        f"{LEAST_PROBABILITY:.2f}); {REMEDIES[kind]}"
    )
