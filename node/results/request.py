"""What the encoder is given, findings with their source instance, and the result objects it hands on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydicom.dataset import Dataset

from node.errors import FindingRefused, HeaderRefused
from node.vocabulary import Finding, ModelIdentity

REQUIRED_OF_SOURCE = (
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "SOPClassUID",
    "Rows",
    "Columns",
)


class ResultKind(StrEnum):
    """What a result object is for; each kind has a series of its own."""

    SEGMENTATION = "segmentation"
    MEASUREMENT_REPORT = "measurement_report"
    CONTOUR_REPORT = "contour_report"
    TEXT_REPORT = "text_report"


@dataclass(frozen=True)
class NodeDevice:
    """The node as the device that made a result: its AE title and the version of radnode."""

    ae_title: str
    version: str


@dataclass(frozen=True)
class ResultRequest:
    """Everything that decides the bytes of a job's result objects; equal requests give equal bytes.

    `sources` are the instances the model saw, one for a planar image; their pixel data may be missing.
    `remarks` are complete sentences. `inputs_digest` is the SHA-256, in hex, over the study and its input instances.
    `pinned_at` is the aware time of the job's row: the only time a result states as its own.
    """

    sources: tuple[Dataset, ...]
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...]
    model: ModelIdentity
    inputs_digest: str
    pinned_at: datetime
    device: NodeDevice

    @property
    def source(self) -> Dataset:
        """Return the instance that states whose study it is; all sources agree on that."""
        return self.sources[0]

    @property
    def local_time(self) -> datetime:
        """`pinned_at` in the source's time zone (PS3.3 C.12.1.1.8), or as it is when none is stated."""
        offset = str(self.source.get("TimezoneOffsetFromUTC") or "")
        try:
            zone = datetime.strptime(offset, "%z").tzinfo
        except ValueError:
            return self.pinned_at
        return self.pinned_at.astimezone(zone)


@dataclass(frozen=True)
class ResultObject:
    """One encoded SEG or SR: a complete Part 10 file in Explicit VR Little Endian."""

    kind: ResultKind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    encoded: bytes


def check_request(request: ResultRequest) -> None:
    """Raise HeaderRefused or FindingRefused unless the findings can be stated on the source instance."""
    missing = [keyword for keyword in REQUIRED_OF_SOURCE if not request.source.get(keyword)]
    if missing:
        raise HeaderRefused(
            f"source instance {request.source.get('SOPInstanceUID', '(no UID)')}: no {', '.join(missing)}; "
            "results must refer to the instance they were made from; have the sender repair the header"
        )
    grid = (int(request.source.Rows), int(request.source.Columns))
    for finding in request.findings:
        if finding.mask.shape != grid:
            raise FindingRefused(
                f"finding {finding.name}: its mask has shape {finding.mask.shape}, its source instance {grid} "
                "(rows, columns); a model must return masks on the source grid"
            )
        if not finding.mask.any():
            raise FindingRefused(
                f"finding {finding.name}: its mask is empty; a model must leave out what it did not find"
            )
