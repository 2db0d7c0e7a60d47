"""What every structured report states besides its findings: the observer, and that nobody verified it."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from node.results.coding_schemes import name_private_schemes
from node.results.header import MANUFACTURER, creation_arguments, encoding_source, fit, state_origin
from node.results.predecessors import predecessors_of
from node.results.references import state_evidence
from node.results.request import ResultKind, ResultRequest
from node.results.uids import device_uid

# The codes of CID 100 that validators know; the last one suits radiography and everything else.
PROCEDURES = {"CT": codes.cid100.CTUnspecifiedBodyRegion, "MR": codes.cid100.MRIUnspecifiedBodyRegion}
PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
COMMENT = Code("121106", "DCM", "Comment")

ENGLISH = Code("en-US", "RFC5646", "English (United States)")


def language() -> hd.sr.LanguageOfContentItemAndDescendants:
    """Return the language of the report's sentences (TID 1204)."""
    return hd.sr.LanguageOfContentItemAndDescendants(hd.sr.CodedConcept.from_code(ENGLISH))


def procedure_reported(request: ResultRequest) -> Code:
    """Return which procedure the source was made in (CID 100)."""
    code: Code = PROCEDURES.get(str(request.source.get("Modality")), PROCEDURE)
    return code


def observation_context(request: ResultRequest) -> hd.sr.ObservationContext:
    """Return the node as the device that observed (TID 1001, 1004)."""
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid(request.device.ae_title),
        name=request.device.ae_title,
        manufacturer_name=MANUFACTURER,
        model_name=fit(request.model.title),
        serial_number=request.device.ae_title,
    )
    observer = hd.sr.ObserverContext(
        observer_type=hd.sr.CodedConcept.from_code(codes.DCM.Device),
        observer_identifying_attributes=device,
    )
    return hd.sr.ObservationContext(observer_device_context=observer)


def finish_report(request: ResultRequest, kind: ResultKind, root: Dataset, evidence: Sequence[Dataset]) -> Dataset:
    """Return the report document around the root container: complete, unverified, preliminary.

    A text report is an Enhanced SR (PS3.3 A.35.2), the others Comprehensive 3D SRs (A.35.13).
    `evidence` are the instances that the report refers to or was made from. Reports that it replaces
    are named as its predecessors (PS3.3 C.17.2).

    highdicom makes the document around an empty container: content it would copy and search for references, which
    takes longer than making it, and `state_evidence` lists them anyway. Tests compare with what it makes of all.
    """
    document = hd.sr.EnhancedSR if kind is ResultKind.TEXT_REPORT else hd.sr.Comprehensive3DSR
    content, root.ContentSequence = root.ContentSequence, hd.sr.ContentSequence()
    report = document(
        evidence=[encoding_source(evidence[0])],
        content=root,
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=predecessors_of(request, kind) or None,
        **creation_arguments(request, kind),
    )
    report.ContentSequence = content
    name_private_schemes(report)
    state_origin(report, request)
    state_evidence(report, evidence)
    return report
