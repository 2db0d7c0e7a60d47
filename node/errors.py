"""Every error radnode raises on purpose.

RadnodeError
  SettingsError        a configuration file or environment variable cannot be used
  ModelCardError       a model folder does not describe itself correctly
    WeightsMismatch    the weights file is not the one model.toml names
  ArchiveError
    ArchiveFull        no room to keep an instance
    MalformedInstance  the data set does not end where its lengths say
      InstanceMismatch  it lacks a UID it must have, or contradicts its C-STORE command
      ContextMismatch  the C-STORE command names another SOP class than its context
    InstanceConflict   the same SOP Instance UID arrived with other content
  DatabaseBusy         another process holds the database; the sender should try again
  UnknownStudy         no study with this UID is in the database
  IllegalMove          a state was to change in a way `states.py` does not allow
  LeaseLost            another worker owns the job now
  StudyRefused         a study that does not fit a model; its reason goes to the operator
    PixelsRefused      pixel data that cannot be decoded or is not a grey-scale picture
    SpacingRefused     no trustworthy distance between pixels
    HeaderRefused      an instance lacks what its results must copy or refer to
    FindingRefused     a finding outlines nothing, or not on the grid of its source
  IdentityMismatch     a result does not belong to the instances it was made from
  DeliveryError
    DeliveryRefused    the destination will never take this object
    DeliveryDelayed    the destination did not take it now
  TrainingDataError    a data folder is not laid out as expected
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


class InstanceConflict(ArchiveError):
    """The same SOP Instance UID arrived with other content; the first is kept."""


class DatabaseBusy(RadnodeError):
    """Another process has held the database for too long; the sender should try again later."""


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


class TrainingDataError(RadnodeError):
    """A data folder is not laid out as expected."""
