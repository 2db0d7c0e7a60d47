"""Plain values that several steps of the data path hand to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from node.plain_values import read_text

Mask = NDArray[np.bool_]
Pixels = NDArray[np.float32]

NOT_FOR_DIAGNOSIS = "AI result, not for diagnosis"

# Who wrote a file or asks for an association (PS3.7 D.3.3.2); the version stays out of them, so that
# the same object gives the same bytes in every version.
IMPLEMENTATION_CLASS_UID = "2.25.164162018418782973175633770692181594547"
IMPLEMENTATION_VERSION_NAME = "RADNODE"


@dataclass(frozen=True)
class Region:
    """A structure a model outlined: the name of one of its outputs and a mask on the source grid.

    `output` is a key of `[output.<name>]` in the model's `model.toml`, which holds the codes.
    `mask` is (rows, columns) for a planar image and (slices, rows, columns) for a volume, True inside
    the structure. `score` says, in 0..1, how sure the model is that there is one.
    """

    output: str
    mask: Mask
    score: float | None = None


@dataclass(frozen=True)
class Classification:
    """Which of several classes the whole image or volume belongs to.

    `probabilities` has each key of `[output.<name>.classes]` and sums to 1. `slice_number`, counted from
    0, is the slice or frame that shows it best.
    """

    output: str
    probabilities: Mapping[str, float]
    slice_number: int | None = None


@dataclass(frozen=True)
class Quantity:
    """A number for the whole image or volume, in the unit of its output, with its 95 % prediction interval."""

    output: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ValueMap:
    """A number for every voxel, (slices, rows, columns) on the source grid, in the unit of its output."""

    output: str
    values: Pixels


@dataclass(frozen=True)
class RefinedVolume:
    """The source on a grid over the same box, finer by whole factors of its (slices, rows, columns)."""

    output: str
    voxels: Pixels
    factors: tuple[int, int, int]


@dataclass(frozen=True)
class Interpretation:
    """What a model's `interpret` concluded from one prediction.

    `remarks` are complete English sentences for the reader of the report, such as the reason why
    a side is not stated. `embedding` is what the network makes of the image in a few numbers: it is
    kept with the job and sent to nobody.
    """

    regions: tuple[Region, ...] = ()
    remarks: tuple[str, ...] = ()
    classifications: tuple[Classification, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    maps: tuple[ValueMap, ...] = ()
    refinements: tuple[RefinedVolume, ...] = ()
    embedding: tuple[float, ...] = ()


@dataclass(frozen=True)
class Measurement:
    """A number with its coded name and UCUM unit, and how it was obtained.

    `derivation` says which statistic of the voxels it is, such as `codes.SCT.Mean` (CID 7464).
    `interval` are the ends of its 95 % prediction interval.
    """

    name: Code
    value: float
    unit: Code
    method: str = ""
    derivation: Code | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Finding:
    """One segmented structure with its codes and measurements, before it becomes DICOM."""

    name: str
    label: str
    category: Code
    property_type: Code
    modifier: Code | None
    colour_rgb: tuple[int, int, int]
    mask: Mask
    measurements: tuple[Measurement, ...] = ()


@dataclass(frozen=True)
class ClassProbability:
    """One of the classes that something may belong to, with its code and probability in 0..1."""

    label: str
    code: Code
    probability: float


@dataclass(frozen=True)
class Conclusion:
    """What a model concluded of the whole image or volume: a class or a number, before it becomes DICOM.

    `concept` is what was judged, such as Finding or Subject Age. A classification has `choices`, the most
    probable first; an estimate has a `measurement`. `site` is the anatomy it is about and `side` its
    laterality, where they are known. `slice_number`, counted from 0, shows it best. It is not decided
    where no class is probable enough to be named as the answer.
    """

    name: str
    label: str
    concept: Code
    choices: tuple[ClassProbability, ...] = ()
    measurement: Measurement | None = None
    site: Code | None = None
    side: Code | None = None
    slice_number: int | None = None
    is_decided: bool = True


@dataclass(frozen=True)
class QuantityMap:
    """A coded quantity for every voxel, (slices, rows, columns) on the source grid, before it becomes DICOM."""

    name: str
    label: str
    quantity: Code
    unit: Code
    values: Pixels


@dataclass(frozen=True)
class Refinement:
    """The source on a grid over the same box, finer by `factors`, before it becomes a derived series."""

    name: str
    label: str
    voxels: Pixels
    factors: tuple[int, int, int]


@dataclass(frozen=True)
class ModelIdentity:
    """Which model concluded something: its name, version and the SHA-256 over all its files.

    Nobody should rely on an experimental one yet, and its reports say so.
    """

    name: str
    title: str
    version: str
    sha256: str
    is_experimental: bool = False


@dataclass(frozen=True)
class StudyIdentity:
    """Whose study it is and which: what a result must share with the instances it was made from.

    Every value is the decoded text of the attribute it is named after, "" when absent or empty, so
    that it compares equal in whatever character set an instance was written.
    """

    study_instance_uid: str
    patient_id: str
    patient_name: str
    patient_birth_date: str
    patient_sex: str
    study_id: str
    study_date: str
    accession_number: str


def study_identity(dataset: Dataset) -> StudyIdentity:
    """Return the identity an instance states; nothing is filled in."""
    return StudyIdentity(
        study_instance_uid=read_text(dataset, "StudyInstanceUID"),
        patient_id=read_text(dataset, "PatientID"),
        patient_name=read_text(dataset, "PatientName"),
        patient_birth_date=read_text(dataset, "PatientBirthDate"),
        patient_sex=read_text(dataset, "PatientSex"),
        study_id=read_text(dataset, "StudyID"),
        study_date=read_text(dataset, "StudyDate"),
        accession_number=read_text(dataset, "AccessionNumber"),
    )


@dataclass(frozen=True)
class PeerTls:
    """How an application is reached over TLS: whom we take for it, and the PEM files of what we trust and show.

    Its certificate is one of `fingerprints` (SHA-256, hex), or, where there are none, one for `name`. An
    `authority` that is stated must have issued it.
    """

    authority: str
    name: str
    fingerprints: tuple[str, ...] = ()
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True)
class PeerAddress:
    """Where a DICOM application is reached and what it calls itself; `tls` is None where plain TCP is spoken."""

    ae_title: str
    host: str
    port: int
    tls: PeerTls | None = None


@dataclass(frozen=True)
class ReceivedInstance:
    """An instance that is safe on disk, as the archive hands it to the index.

    `path` is relative to the archive's root. `sha256` (hex) and `size` (bytes) are over the data set
    as received, without preamble and file meta. `study` is what it states of its study; `header` is the data
    set up to its pixel data, very long values left out.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    path: str
    sha256: str
    size: int
    study: StudyIdentity
    header: Dataset


@dataclass(frozen=True)
class EarlierReport:
    """A structured report of an earlier revision of a study, which a new report of the same model replaces."""

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True)
class InstanceReference:
    """An instance by its UIDs alone, as one DICOM application names it to another."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class CommitmentRequest:
    """What one DICOM application asks another to keep safe: an N-ACTION of Storage Commitment (PS3.4 J.3.2)."""

    transaction_uid: str
    references: tuple[InstanceReference, ...]


@dataclass(frozen=True)
class CommitmentReport:
    """What became of that: an N-EVENT-REPORT (PS3.4 J.3.3).

    `failed` gives the Failure Reason (0008,1197) of each instance that is not kept safe.
    """

    transaction_uid: str
    committed: tuple[InstanceReference, ...]
    failed: Mapping[InstanceReference, int]


class Admission(StrEnum):
    """What the index made of an instance: the first of its UID, a repeat, or a result of our own."""

    NEW = "new"
    DUPLICATE = "duplicate"
    OWN_RESULT = "own result"


class ResultProfile(StrEnum):
    """Which kinds of result objects suit a destination: what its archive keeps and its viewers can show.

    `archive` keeps everything that can be read by machines, `ohif` is a PACS read with OHIF, which
    shows nothing where a report lacks outlines, `basic` shows pictures and text only.
    """

    ARCHIVE = "archive"
    OHIF = "ohif"
    BASIC = "basic"
