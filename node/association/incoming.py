"""An instance on its way from the wire to a part of the archive; whatever goes wrong waits for the answer."""

from __future__ import annotations

from node.archive import AnnouncedInstance, Archive, OutlineReader, Part
from node.association.contexts import SERVICES
from node.association.negotiation import AnsweredContext
from node.errors import ArchiveError, ContextMismatch, InstanceTooLarge, MalformedInstance, ProtocolViolation
from node.upper_layer.command import Request
from node.upper_layer.pdu import AbortReason


class IncomingInstance:
    """Writes the data set of a C-STORE request to a part.

    Nothing is raised while data arrive, for there is nobody to answer then; the first error is kept until
    the data set is complete, and what follows it is dropped.
    """

    def __init__(self, archive: Archive, largest_bytes: int, outlines: OutlineReader | None = None) -> None:
        """Take a data set of up to `largest_bytes`, and drop as many of one that is longer.

        `outlines` knows the instances that came before it over the same association.
        """
        self._outlines = outlines
        self._archive = archive
        self._largest_bytes = largest_bytes
        self._received_bytes = 0
        self._part: Part | None = None
        self._failure: ArchiveError | OSError | None = None

    def open(self, request: Request, context: AnsweredContext) -> None:
        """Open the part, unless the request already says that its data set cannot be kept."""
        try:
            if not request.has_data_set:
                raise MalformedInstance("data set: found none, expected one after the C-STORE command")
            if request.sop_class_uid != context.abstract_syntax or request.sop_class_uid in SERVICES:
                raise ContextMismatch("Affected SOP Class UID: found another than its presentation context is for")
            announced = AnnouncedInstance(request.sop_class_uid, request.sop_instance_uid, context.transfer_syntax)
            self._part = self._archive.begin(announced, self._outlines)
        except (ArchiveError, OSError) as error:
            self._failure = error

    def write(self, fragment: memoryview) -> None:
        """Append a fragment; raises ProtocolViolation only for a data set that seems to have no end."""
        self._received_bytes += len(fragment)
        if self._received_bytes > 2 * self._largest_bytes:
            raise ProtocolViolation("data set that has no end", AbortReason.NOT_SPECIFIED)
        if self._part is None or self._failure is not None:
            return
        try:
            if self._received_bytes > self._largest_bytes:
                raise InstanceTooLarge(f"data set: over {self._largest_bytes} bytes; see dicom.max_instance_mb")
            self._part.write(fragment)
        except (ArchiveError, OSError) as error:
            self._failure = error
            self._part.discard()  # at once: the rest of the data set may still be long in coming

    def claim(self) -> Part:
        """Return the complete part, which is the caller's from now on; raises what went wrong on the way."""
        if self._failure is not None:
            raise self._failure
        assert self._part is not None
        part, self._part = self._part, None
        return part

    def discard(self) -> None:
        """Remove what nobody has claimed."""
        if self._part is not None:
            self._part.discard()
