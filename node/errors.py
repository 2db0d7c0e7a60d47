"""Every error radnode raises on purpose.

RadnodeError
  SettingsError        a configuration file or environment variable cannot be used
  ModelCardError       a model folder does not describe itself correctly
    WeightsMismatch    the weights file is not the one model.toml names
    ModelNotTrusted    the model is not among those that node.toml lets run
    ModelChanged       the model folder is not what a job, or the node at its start, took it for
  ArtefactUnusable     a converted network is missing, spoiled or another's; Keras serves instead
    ConversionFailed   a network could not be converted, or answered otherwise than Keras
  ArchiveError
    ArchiveFull        no room to keep an instance
    MalformedInstance  the data set does not end where its lengths say
      InstanceMismatch  it lacks a UID it must have, or contradicts its C-STORE command
      ContextMismatch  the C-STORE command names another SOP class than its context
    InstanceTooLarge   the data set is longer than we take
    InstanceConflict   the same SOP Instance UID arrived with other content
    ArchiveDiffers     files and rows differ more than an interrupted node explains
  CommitmentError      a request or report of storage commitment is refused
    MalformedCommitment  a request or report of storage commitment cannot be read
    UnknownTransaction  a report is about what was not asked, or not of this peer
      ReportByAnother  another peer was asked than the one that reports
    UnknownPeer        who asks is not in peers.toml, so there is no address to report to
    TransactionReused  a transaction UID came again with other instances
    TooMuchAsked       more instances in one request, or more open requests, than we take
  AssociationBroken    an association ends otherwise than by its release
    ProtocolViolation  the peer sent what the upper layer protocol does not allow
    PeerTooSlow        the peer kept us waiting for too long
    PeerAborted        the peer aborted
    ConnectionLost     the connection closed or failed
  DatabaseBusy         another process holds the database; the sender should try again
  DatabaseUnusable     the database file is damaged or not radnode's
  NoInstances          a folder that was to be read or sent holds no DICOM file
  UnknownStudy         no study with this UID is in the database
  IllegalMove          a state was to change in a way `states.py` does not allow
  LeaseLost            another worker owns the job now
  StudyRefused         a study that does not fit a model; its reason goes to the operator
    PixelsRefused      pixel data that cannot be decoded or is not a grey-scale picture
    SeriesRefused      the slices of a series do not form one volume
      MissingGeometry  a slice does not say where it lies in the patient
      SingleSlice      one slice, or none, where a volume is needed
      MixedImages      slices that differ in size, pixel spacing, class or unit
      MixedOrientation  slices that lie in different planes
      MixedFramesOfReference  slices whose positions cannot be compared
      RepeatedPositions  several slices at one place
      GantryTilt       slices that are shifted sideways, as from a tilted gantry
      UnevenSlices     a gap between slices, or steps that differ
      SeveralVolumes   phases, echoes or the like that an attribute tells apart
    SpacingRefused     no trustworthy distance between pixels
    HeaderRefused      an instance lacks what its results must copy or refer to
    FindingRefused     a finding outlines nothing, or not on the grid of its source
  IdentityMismatch     a result does not belong to the instances it was made from
  DeliveryError
    DeliveryRefused    the destination will never take this object
    DeliveryDelayed    the destination did not take it now
      PeerUnreachable  there is no association with it at all
        PeerRejects    it answered, but rejected the association
        PeerUntrusted  over TLS one side does not take the other for whom it should be
  AuditUndelivered     a sink of the audit trail took nothing; what it should have had waits
  TrainingDataError    a data folder is not laid out as expected
  BenchFailed          a program or library did not do its part of a benchmark
"""

from __future__ import annotations


class RadnodeError(Exception):
    """The root: a message names the thing, what was found, what was expected, what to do."""


class SettingsError(RadnodeError):
    """A configuration file or environment variable cannot be used."""


class ModelCardError(RadnodeError):
    """A model folder does not describe itself correctly."""


class WeightsMismatch(ModelCardError):
    """The weights file is not the one `model.toml` names."""


class ModelNotTrusted(ModelCardError):
    """The model is not among those that `node.toml` lets run; its code is not loaded."""


class ModelChanged(ModelCardError):
    """The model folder is not what a job, or the node at its start, took it for; nothing of it is run."""


class ArtefactUnusable(RadnodeError):
    """A converted network is missing, spoiled, or was made of something else."""


class ConversionFailed(ArtefactUnusable):
    """A network could not be converted, or the converted one differs from Keras by more than it may."""


class ArchiveError(RadnodeError):
    """An instance could not be kept."""


class ArchiveFull(ArchiveError):
    """There is no room to keep an instance; the sender should try again later."""


class MalformedInstance(ArchiveError):
    """The data set does not end where its lengths say, or a UID in it is none."""


class InstanceMismatch(MalformedInstance):
    """The data set lacks a UID it must have, or contradicts the C-STORE command it came with."""


class ContextMismatch(MalformedInstance):
    """The C-STORE command names another SOP class than the presentation context it came in."""


class InstanceTooLarge(ArchiveError):
    """The data set is longer than this node is set to take."""


class InstanceConflict(ArchiveError):
    """The same SOP Instance UID arrived with other content; the first is kept."""


class ArchiveDiffers(ArchiveError):
    """Files and rows differ more than an interrupted node explains; a person should know before it goes on."""


class CommitmentError(RadnodeError):
    """A request or report of storage commitment is refused."""


class MalformedCommitment(CommitmentError):
    """A request or report of storage commitment is not whole, or does not name what it must."""


class UnknownTransaction(CommitmentError):
    """A report of storage commitment is about a transaction that is none of ours with this peer."""


class UnknownPeer(CommitmentError):
    """Who asks for storage commitment is not in peers.toml, so there is no address to report to."""


class TransactionReused(CommitmentError):
    """A transaction UID of storage commitment came again with other instances."""


class TooMuchAsked(CommitmentError):
    """A peer asks for commitment to more instances in one request, or leaves more requests open, than we take."""


class ReportByAnother(UnknownTransaction):
    """A report of storage commitment comes from another peer than the one that was asked."""


class AssociationBroken(RadnodeError):
    """An association ends otherwise than by its release; its peer may try again."""


class ProtocolViolation(AssociationBroken):
    """The peer sent what the upper layer protocol does not allow; `reason` is for the A-ABORT (PS3.8 9.3.8)."""

    def __init__(self, text: str, reason: int) -> None:
        super().__init__(text)
        self.reason = reason


class PeerTooSlow(AssociationBroken):
    """The peer kept us waiting for longer than any honest one does."""


class PeerAborted(AssociationBroken):
    """The peer aborted."""


class ConnectionLost(AssociationBroken):
    """The connection closed or failed."""


class DatabaseBusy(RadnodeError):
    """Another process has held the database for too long; the sender should try again later."""


class DatabaseUnusable(RadnodeError):
    """The database file is damaged or not radnode's."""


class NoInstances(RadnodeError):
    """A folder that was to be read or sent holds no DICOM file."""


class UnknownStudy(RadnodeError):
    """No study with this UID is in the database."""


class IllegalMove(RadnodeError):
    """A state was to change in a way `states.py` does not allow."""


class LeaseLost(RadnodeError):
    """Another worker owns the job now; what this one concluded is discarded."""


class StudyRefused(RadnodeError):
    """A study does not fit a model; the reason goes to the operator and is never guessed away."""


class PixelsRefused(StudyRefused):
    """The pixel data cannot be decoded or is not a grey-scale picture."""


class SeriesRefused(StudyRefused):
    """The slices of a series do not form one volume."""


class MissingGeometry(SeriesRefused):
    """A slice does not say where it lies in the patient, or says so in a way that cannot be true."""


class SingleSlice(SeriesRefused):
    """There is one slice, or none, where a volume is needed."""


class MixedImages(SeriesRefused):
    """Slices differ in size, pixel spacing, class, series or unit."""


class MixedOrientation(SeriesRefused):
    """Slices lie in different planes."""


class MixedFramesOfReference(SeriesRefused):
    """Slices have positions that cannot be compared."""


class RepeatedPositions(SeriesRefused):
    """Several slices lie at one place."""


class GantryTilt(SeriesRefused):
    """Slices are shifted sideways against each other, as from a tilted gantry."""


class UnevenSlices(SeriesRefused):
    """There is a gap between slices, or their steps differ."""


class SeveralVolumes(SeriesRefused):
    """A series holds phases, echoes or the like, which the attribute named in the message tells apart."""


class SpacingRefused(StudyRefused):
    """No trustworthy distance between pixels is stated."""


class HeaderRefused(StudyRefused):
    """An instance lacks what its results must copy or refer to."""


class FindingRefused(StudyRefused):
    """A finding outlines nothing, or not on the grid of its source."""


class IdentityMismatch(RadnodeError):
    """A result does not belong to the instances it was made from; nothing is sent."""


class DeliveryError(RadnodeError):
    """A result object did not reach its destination."""


class DeliveryRefused(DeliveryError):
    """The destination will never take this object as it is."""


class DeliveryDelayed(DeliveryError):
    """The destination did not take the object now; it will be tried again."""


class PeerUnreachable(DeliveryDelayed):
    """There is no association with the destination: no fault of the object's, however often it is tried."""


class PeerRejects(PeerUnreachable):
    """The destination answered with A-ASSOCIATE-RJ; `code` is its result, source and reason (PS3.8 9.3.4)."""

    def __init__(self, text: str, code: tuple[int, int, int]) -> None:
        super().__init__(text)
        self.code = code


class PeerUntrusted(PeerUnreachable):
    """TLS with the destination failed: it cannot show who it is, does not trust us, or a file of ours is unusable."""


class AuditUndelivered(RadnodeError):
    """A sink of the audit trail took nothing; what it should have had waits for it."""


class TrainingDataError(RadnodeError):
    """A data folder is not laid out as expected."""


class BenchFailed(RadnodeError):
    """A program or library did not do its part of a benchmark, so there is nothing to compare."""
