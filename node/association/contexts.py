"""Which SOP classes and transfer syntaxes a peer may send us."""

from __future__ import annotations

from pydicom import uid
from pynetdicom.presentation import AllStoragePresentationContexts

from node.commitment.information import COMMITMENT_CLASS
from node.upper_layer.command import VERIFICATION

# The first of these that a peer offers in one context is taken. Uncompressed comes first, for a peer
# that offers it can always send it; one that holds compressed pixels offers their syntax alone.
# Deflated is left out: a small data set may unfold to any size before it can be checked.
TRANSFER_SYNTAXES = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.JPEGLosslessSV1,
    uid.JPEGLossless,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.RLELossless,
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLSNearLossless,
    uid.JPEG2000,
    uid.HTJ2K,
    uid.JPEG2000MCLossless,
    uid.JPEG2000MC,
    uid.MPEG2MPML,
    uid.MPEG2MPMLF,
    uid.MPEG2MPHL,
    uid.MPEG2MPHLF,
    uid.MPEG4HP41,
    uid.MPEG4HP41F,
    uid.MPEG4HP41BD,
    uid.MPEG4HP41BDF,
    uid.MPEG4HP422D,
    uid.MPEG4HP422DF,
    uid.MPEG4HP423D,
    uid.MPEG4HP423DF,
    uid.MPEG4HP42STEREO,
    uid.MPEG4HP42STEREOF,
    uid.HEVCMP51,
    uid.HEVCM10P51,
)


COMMITMENT = COMMITMENT_CLASS
SERVICES = frozenset((VERIFICATION, COMMITMENT))  # which store nothing


def supported_contexts() -> dict[str, tuple[str, ...]]:
    """Return the transfer syntaxes of each SOP class, the best first: of our services, of every storage SOP class."""
    classes = [context.abstract_syntax for context in AllStoragePresentationContexts]
    plain = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian)
    return dict.fromkeys(SERVICES, plain) | {name: TRANSFER_SYNTAXES for name in classes if name}
