"""The archive: every instance and every result in a file of its own, durable before anyone hears of it."""

from __future__ import annotations

import hashlib
import logging
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from pydicom.dataset import Dataset

from node import faults
from node.archive.disk import (
    create_file,
    make_folders,
    move_durably,
    refuse_full_disk,
    sync_content,
    sync_file,
)
from node.archive.durability import Durability, EachFlushed, ReadCopy
from node.archive.file_head import AnnouncedInstance
from node.archive.outline import OutlineReader
from node.archive.part import CheckedDataSet, Part
from node.archive.reading import read_dataset
from node.archive.removal import Arrivals, RemovalList, read_removal_lists, write_removal_list
from node.archive.reread import check_again, hash_data_set
from node.errors import ArchiveError, MalformedInstance
from node.faults import FaultPoint
from node.vocabulary import ReceivedInstance

logger = logging.getLogger("radnode.archive")

_INCOMING, _INSTANCES, _RESULTS, _QUARANTINE = "incoming", "instances", "results", "quarantine"
_REMOVAL = "removal"
_SHELVES = tuple(f"{number:02x}" for number in range(256))


@dataclass(frozen=True)
class _Kept:
    """Where an instance lies under the root, and the SHA-256 (hex) and size (bytes) of its data set."""

    path: str
    sha256: str
    size: int


@dataclass
class Secured:
    """An instance that nothing can take any more.

    `part` holds it as long as `place` has not given it its file; `read_copy` reads its copy, where there is one, until
    it is settled.
    """

    received: ReceivedInstance
    part: Part | None
    read_copy: ReadCopy | None


class Archive:
    """A folder of DICOM files under names made from their content, never from a peer's text.

    incoming/    what is still being written; emptied at start
    instances/   what was received and checked
    results/     what we made
    quarantine/  what contradicts an instance received before
    removal/     lists of files that are about to go
    journal/     copies of what came last, where the durability is the journal's
    """

    def __init__(self, root: Path, reserve_bytes: int = 0, durability: Durability | None = None) -> None:
        """Use the folder `root`, which is made if need be; keep `reserve_bytes` of its disk free.

        What arrives is as safe as `durability` makes it: without one, each file is flushed.
        """
        self._root = root.resolve()
        self._reserve_bytes = reserve_bytes
        self._durability = durability or EachFlushed(self._root)
        self._arrivals = Arrivals()
        self._part_numbers = count()
        self._parts = str(self._root / _INCOMING / uuid.uuid4().hex)  # no other process has these names
        make_folders(self._root, (_INCOMING, _INSTANCES, _RESULTS, _QUARANTINE, _REMOVAL))
        for name in (_INSTANCES, _RESULTS):
            make_folders(self._root / name, _SHELVES)

    def begin(self, announced: AnnouncedInstance, outlines: OutlineReader | None = None) -> Part:
        """Open a part to write a data set to while it arrives; raises ArchiveFull, MalformedInstance.

        `outlines` knows the instances that came before it over the same association.
        """
        return Part(self._new_part_path(), announced, self._reserve_bytes, outlines)

    def secure(self, part: Part, association_id: int = 0) -> Secured:
        """Return once what a part holds is as safe as the archive makes it; its file may be yet to be placed.

        PS3.4 B.2.3 taken seriously: the data set is walked to its end, and a copy of it, or the file and its name,
        are durable. If anything fails the part is gone. The file is safe from removal until `settle` is called
        for it. Raises MalformedInstance, ArchiveFull.
        """
        try:
            checked = part.check()
            relative = _instance_path(part.sha256, part.announced.transfer_syntax_uid)
            read_copy = self._made_safe(part, relative, association_id)
        except BaseException:
            part.discard()
            raise
        received = _received(checked, part.announced, _Kept(relative, part.sha256, part.size))
        return Secured(received, part if read_copy else None, read_copy)

    def place(self, secured: Secured) -> None:
        """Give a secured instance its file, if it has none; raises ArchiveFull, and then the part is gone."""
        part, secured.part = secured.part, None
        if part is None:
            return
        try:
            with refuse_full_disk(self._root):
                part.close()
                part.move(self._root / secured.received.path)
        finally:
            part.discard()
        faults.reach(FaultPoint.INSTANCE_NAMED)

    def place_copy(self, secured: Secured) -> None:
        """Do what `place` could not do, from the copy; raises ArchiveFull."""
        assert secured.read_copy is not None
        with refuse_full_disk(self._root):
            self.put_back(secured.received.path, secured.read_copy())

    def finish(self, part: Part, association_id: int = 0) -> ReceivedInstance:
        """Secure what a part holds and place it; if that fails, nothing waits for its row any more."""
        secured = self.secure(part, association_id)
        try:
            self.place(secured)
        except BaseException:
            self.settle(secured.received)
            raise
        return secured.received

    def settle(self, received: ReceivedInstance) -> None:
        """Say that an instance is in the index by now, or is not going to be."""
        self._durability.settle(received.path)
        self._arrivals.end(received.path)

    def put_back(self, relative: str, content: bytes) -> None:
        """Write a file again that may not have survived a loss of power; one that is whole is left as it is.

        Content that is not what the path was made from was torn itself, and never answered for.
        """
        if self._is_whole(self._root / relative, relative):
            return
        part = self._new_part_path()
        try:
            with create_file(part) as file:
                file.write(content)
            if self._is_whole(part, relative):
                part.rename(self._root / relative)
                logger.warning("file put back from the journal", extra={"fields": {"path": relative}})
        finally:
            part.unlink(missing_ok=True)

    def keep(self, announced: AnnouncedInstance, encoded: bytes | memoryview) -> ReceivedInstance:
        """Keep a data set that is in memory; the promises are those of `finish`."""
        part = self.begin(announced)
        try:
            part.write(encoded)
            return self.finish(part)
        finally:
            part.discard()

    def store_result(self, encoded: bytes) -> tuple[str, str]:
        """Keep a DICOM file we made; return its path under the root and its SHA-256 (hex), once durable.

        The path depends on the content alone, so storing the same file again changes nothing. Results
        may use the reserve that what we receive may not: that is what it is for.
        """
        sha256 = hashlib.sha256(encoded).hexdigest()
        relative = _relative_path(_RESULTS, sha256)
        path = self._new_part_path()
        try:
            with refuse_full_disk(self._root):
                with create_file(path) as file:
                    file.write(encoded)
                    faults.reach(FaultPoint.RESULT_WRITTEN)
                    sync_file(file)
                faults.reach(FaultPoint.RESULT_FLUSHED)
                move_durably(path, self._root / relative)
            faults.reach(FaultPoint.RESULT_NAMED)
        finally:
            path.unlink(missing_ok=True)
        return relative, sha256

    def path_of(self, relative: str) -> Path:
        """Return where a file lies; raises ArchiveError for a path that leads out of the archive."""
        return Path(self._text_of(relative))

    def read(self, relative: str, *, pixels: bool = True) -> Dataset:
        """Return a data set as pydicom reads it, up to its pixel data or with it; raises MalformedInstance if torn."""
        return next(self.read_all([relative], pixels=pixels))

    def read_all(self, relatives: Iterable[str], *, pixels: bool = True) -> Iterator[Dataset]:
        """Give data sets as `read` does; those of a series, one after the other, in a fraction of the time."""
        outlines = OutlineReader(is_admitting=False)
        for relative in relatives:
            yield read_dataset(self._text_of(relative), outlines, pixels=pixels)

    def quarantine(self, received: ReceivedInstance) -> str:
        """Move an instance that contradicts an earlier one aside, durably; return its new path."""
        return self.quarantine_file(received.path)

    def quarantine_file(self, relative: str) -> str:
        """Move any file of the archive aside, durably; return its new path."""
        source = self.path_of(relative)
        target = self._root / _QUARANTINE / source.name
        try:
            sync_content(source)
            move_durably(source, target)
            faults.reach(FaultPoint.INSTANCE_QUARANTINED)
        except FileNotFoundError:
            # The same contradiction came over two associations at once and the other was quicker.
            if not target.exists():
                raise
        return str(target.relative_to(self._root))

    def examine(self, relative: str) -> ReceivedInstance:
        """Return what a kept file holds, checked to its end as when it came.

        Raises MalformedInstance when it is torn, changed, or not where its content belongs.
        """
        path = self.path_of(relative)
        found = hash_data_set(path)
        if _instance_path(found.sha256, found.announced.transfer_syntax_uid) != relative:
            raise MalformedInstance(f"{relative}: found other content, expected what the name was made from")
        return _received(check_again(path, found), found.announced, _Kept(relative, found.sha256, found.size))

    def shelves(self) -> Iterator[tuple[str, frozenset[str]]]:
        """Give every shelf, such as "instances/0a", with the paths of the files on it."""
        for name in (_INSTANCES, _RESULTS):
            for shelf in _SHELVES:
                relative = f"{name}/{shelf}"
                with os.scandir(self._root / relative) as entries:
                    yield relative, frozenset(f"{relative}/{entry.name}" for entry in entries)

    def discard(self, received: ReceivedInstance) -> None:
        """Remove an instance that nothing refers to, such as a repeat in another transfer syntax."""
        self.path_of(received.path).unlink(missing_ok=True)
        faults.reach(FaultPoint.INSTANCE_DISCARDED)

    def note_removal(self, paths: Sequence[str]) -> RemovalList:
        """Write down durably which files are to go; to be called before their rows change."""
        self._durability.flush()  # a journal must not bring back what is gone
        return write_removal_list(self._root / _REMOVAL, paths)

    def removals(self) -> list[RemovalList]:
        """Return what was written down and is not done with, also by an earlier run."""
        return read_removal_lists(self._root / _REMOVAL)

    def remove(self, relative: str) -> bool:
        """Remove a file that no row refers to; return False, and leave it, while it is arriving anew.

        The caller holds the database's write lock, so that no row for it can come in between.
        """
        with self._arrivals.kept_out(relative) as is_free:
            if is_free:
                self.path_of(relative).unlink(missing_ok=True)
                faults.reach(FaultPoint.FILE_REMOVED)
            return is_free

    def sweep_incoming(self) -> int:
        """Remove what was being written when the node last stopped; return how many files.

        To be called at start, before anything is received: nobody was told of success for these.
        """
        parts = list((self._root / _INCOMING).glob("*.part"))
        for part in parts:
            part.unlink()
        return len(parts)

    def _made_safe(self, part: Part, relative: str, association_id: int) -> ReadCopy | None:
        """Make a part safe; return what reads the copy, or None where it is the file itself."""
        self._arrivals.begin(relative)
        try:
            with refuse_full_disk(self._root):
                read_copy = self._durability.secure(part, relative, association_id)
            if read_copy is None:
                faults.reach(FaultPoint.INSTANCE_NAMED)
        except BaseException:
            self._durability.settle(relative)
            self._arrivals.end(relative)
            raise
        return read_copy

    def _text_of(self, relative: str) -> str:
        """Do what `path_of` does, for those that need a path many times."""
        if relative.startswith("/") or ".." in relative.split("/"):
            raise ArchiveError(f"{relative!r}: leads out of the archive {self._root}; expected a path inside it")
        return f"{self._root}/{relative}"

    def _is_whole(self, path: Path, relative: str) -> bool:
        """Tell whether a file holds what the path under the root was made from."""
        try:
            found = hash_data_set(path)
        except (MalformedInstance, FileNotFoundError):
            return False
        return _instance_path(found.sha256, found.announced.transfer_syntax_uid) == relative

    def _new_part_path(self) -> Path:
        return Path(f"{self._parts}-{next(self._part_numbers)}.part")


def _instance_path(sha256: str, transfer_syntax_uid: str) -> str:
    """Return a path that is the same for the same data set in the same transfer syntax only."""
    return _relative_path(_INSTANCES, hashlib.sha256(f"{sha256} {transfer_syntax_uid}".encode()).hexdigest())


def _relative_path(folder: str, name: str) -> str:
    return f"{folder}/{name[:2]}/{name}.dcm"


def _received(checked: CheckedDataSet, announced: AnnouncedInstance, kept: _Kept) -> ReceivedInstance:
    return ReceivedInstance(
        **vars(checked.identity),
        **vars(kept),
        transfer_syntax_uid=announced.transfer_syntax_uid,
        study=checked.study,
        header=checked.header,
    )
