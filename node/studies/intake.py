"""Intake: what a peer sends becomes ours. Where there is nothing to decide, its answer waits only until it is safe.

File and row of such an instance follow the answer, while the peer sends on, and the rows of several share a commit.
Until then its copy in the journal is the instance; a node that dies makes file and row from that when it starts.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from node import faults
from node.archive import Archive, Part, Secured
from node.errors import ArchiveFull, DatabaseBusy, InstanceConflict
from node.faults import FaultPoint
from node.logs import log_failure
from node.studies.admission import admit_instance
from node.studies.claims import Claims
from node.studies.index import InstanceIndex

logger = logging.getLogger("radnode.intake")

# How much an association may have been answered for that has no rows yet: instances, bytes of them, seconds.
MOST_FOLLOWING = 16
MOST_FOLLOWING_BYTES = 8 << 20
LONGEST_SECONDS = 0.2


class Admissions:
    """The intakes of all associations, and the instances whose files or rows could not be made in their turn."""

    def __init__(self, archive: Archive, index: InstanceIndex, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Keep instances in `archive` and record them in `index`."""
        self._desk = _Desk(archive, index, monotonic)
        self._lock = threading.Lock()
        self._open: set[Intake] = set()

    def open(self, association_id: int) -> Intake:
        """Return the intake of an association, which is to be closed."""
        intake = Intake(self._desk, association_id, self._forget)
        with self._lock:
            self._open.add(intake)
        return intake

    def settle(self) -> None:
        """Return once whatever was answered for by now has its row; raises DatabaseBusy when some cannot have it."""
        for intake in self._intakes():
            intake.settle()
        if self._desk.stragglers:
            raise DatabaseBusy("instances wait for their rows; ask again later")

    def settle_late(self) -> None:
        """Make the rows that have waited for long, as of a peer that stopped amid an instance, and those that failed.

        To be called every so often. Raises what keeps them from being made.
        """
        for intake in self._intakes():
            if intake.is_late:
                intake.settle()
        self._desk.catch_up()

    def _intakes(self) -> list[Intake]:
        with self._lock:
            return list(self._open)

    def _forget(self, intake: Intake) -> None:
        with self._lock:
            self._open.discard(intake)


class Intake:
    """What one association brings. One thread takes and places; whoever needs the rows may settle."""

    def __init__(self, desk: _Desk, association_id: int, note_end: Callable[[Intake], None]) -> None:
        """Say `note_end` when it is closed."""
        self._desk = desk
        self._association_id = association_id
        self._note_end = note_end
        self._unplaced: Secured | None = None
        self._settling = threading.Lock()
        self._following: list[Secured] = []
        self._since = 0.0

    @property
    def is_following(self) -> bool:
        """Tell whether there are rows to be made."""
        return bool(self._following)

    @property
    def is_full(self) -> bool:
        """Tell whether the rows are to be made before anything else is taken."""
        following = self._following
        return len(following) >= MOST_FOLLOWING or sum(each.received.size for each in following) >= MOST_FOLLOWING_BYTES

    @property
    def is_late(self) -> bool:
        """Tell whether a row has waited for too long."""
        return self.is_following and self._desk.monotonic() - self._since > LONGEST_SECONDS

    def take(self, part: Part) -> None:
        """Return once the peer may be told that an instance is ours; `place` is to be called when it was.

        Raises InstanceConflict when the SOP Instance UID is known with other content, and that is in quarantine
        then; MalformedInstance, ArchiveFull, DatabaseBusy.
        """
        try:
            self._decide(part)
        except BaseException:
            part.discard()
            raise

    def place(self) -> None:
        """Give the instance that was answered for last its file, if it has none."""
        secured, self._unplaced = self._unplaced, None
        if secured is None:
            return
        try:
            self._desk.place(secured)
        except Exception as error:  # noqa: BLE001 - it was answered for, so it must be tried again
            self._desk.leave([secured], self._association_id, error)
            return
        with self._settling:  # else others might settle it before it is said to be left for later
            if not self._following:
                self._since = self._desk.monotonic()
            self._following.append(secured)
            self._desk.claims.postpone(secured.received.sop_instance_uid, self.settle)

    def settle(self) -> None:
        """Return once everything placed so far has its row; what cannot have it now is tried again by others."""
        with self._settling:
            batch, self._following = self._following, []
            if batch:
                self._desk.record(batch, self._association_id)

    def close(self) -> None:
        """Place and settle what is left; nothing is taken any more."""
        self.place()
        self.settle()
        self._note_end(self)

    def _decide(self, part: Part) -> None:
        """Take an instance while nobody else takes one of its UID, or has one that waits for its row."""
        uid = part.announced.sop_instance_uid
        self._desk.claims.claim(uid)
        is_decided = True
        try:
            is_decided = self._is_decided(part)
        finally:
            if is_decided:
                self._desk.claims.release(uid)

    def _is_decided(self, part: Part) -> bool:
        """Secure an instance; return whether it has its row too, or False when file and row follow its answer."""
        may_follow = self._desk.may_follow(part.announced.sop_instance_uid, self._association_id)
        secured = self._desk.archive.secure(part, self._association_id)
        if may_follow and secured.part is not None:
            self._unplaced = secured
            return False
        try:
            self._desk.archive.place(secured)
            admit_instance(self._desk.archive, self._desk.index, secured.received, self._association_id)
        finally:
            self._desk.archive.settle(secured.received)
        return True


@dataclass
class _Desk:
    """What all intakes share; `stragglers` are instances answered for, with the keys of their associations."""

    archive: Archive
    index: InstanceIndex
    monotonic: Callable[[], float]
    claims: Claims = field(default_factory=Claims)
    stragglers: list[tuple[Secured, int]] = field(default_factory=list)

    def may_follow(self, sop_instance_uid: str, association_id: int) -> bool:
        """Tell whether file and row of an instance may follow its answer: they are sure to, and nothing is to decide.

        While others could not be made, nobody is answered before them: so what is left behind stays little.
        """
        return not self.stragglers and self.index.may_follow(sop_instance_uid, association_id)

    def place(self, secured: Secured) -> None:
        """Give an instance that was answered for its file, from its copy if need be."""
        try:
            faults.reach(FaultPoint.INSTANCE_ANSWERED)
            self.archive.place(secured)
        except Exception as error:  # noqa: BLE001 - whatever it was, the copy is there
            log_failure(logger, "instance placed from its copy", error)
            self.archive.place_copy(secured)

    def record(self, batch: Sequence[Secured], association_id: int) -> None:
        """Make the rows of instances that have been claimed, answered for and placed."""
        try:
            added = self.index.record_usual([secured.received for secured in batch], association_id)
        except (DatabaseBusy, ArchiveFull) as error:
            self.leave(batch, association_id, error)
            return
        except Exception as error:  # noqa: BLE001 - they were answered for; whichever it is, the others have theirs
            log_failure(logger, "rows made one by one", error, association=association_id)
            added = [False] * len(batch)
        for secured, is_added in zip(batch, added, strict=True):
            if is_added:
                self._end(secured)
            else:
                self._decide(secured, association_id)

    def leave(self, batch: Sequence[Secured], association_id: int, error: Exception) -> None:
        """Have instances tried again whose files or rows could not be made; they are safe as they are."""
        fields = {"association": association_id, "instances": len(batch)}
        log_failure(logger, "instances wait for their files or rows", error, **fields)
        for secured in batch:  # first, for whoever catches up says that they are decided
            self.claims.postpone(secured.received.sop_instance_uid, _refuse)
        self.stragglers += [(secured, association_id) for secured in batch]

    def catch_up(self) -> None:
        """Make the files and rows of those that were left; raises what keeps it from that."""
        while self.stragglers:
            secured, association_id = self.stragglers[0]
            self.archive.place_copy(secured)
            self._admit(secured, association_id)
            self._end(secured)
            self.stragglers.pop(0)

    def _decide(self, secured: Secured, association_id: int) -> None:
        try:
            self._admit(secured, association_id)
        except Exception as error:  # noqa: BLE001 - it was answered for, so it must be tried again
            self.leave([secured], association_id, error)
        else:
            self._end(secured)

    def _admit(self, secured: Secured, association_id: int) -> None:
        try:
            admit_instance(self.archive, self.index, secured.received, association_id)
        except InstanceConflict as error:  # recorded, and its content in quarantine
            log_failure(logger, "instance answered for contradicts another", error, association=association_id)

    def _end(self, secured: Secured) -> None:
        self.archive.settle(secured.received)
        self.claims.release(secured.received.sop_instance_uid)


def _refuse() -> None:
    raise DatabaseBusy("instance waits for its row; send it again later")
