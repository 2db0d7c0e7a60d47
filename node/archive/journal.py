"""The journal: what came last, copied to where blocks are allocated already, so that one flush makes it safe.

A new file costs a flush of its content, one of its name and one of its row. A copy in the journal costs one, and
associations that wait at the same moment share it. At leisure, when nothing arrives or half of the space is used, the
files themselves are flushed and the space is used again; after a loss of power `replay` puts back what had not been
flushed.
"""

from __future__ import annotations

import errno
import logging
import mmap
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from node import faults
from node.archive.disk import create_file, make_folders, move_durably, sync_content, sync_file, sync_folders
from node.archive.durability import EachFlushed, ReadCopy, Unflushed
from node.archive.journal_record import (
    EPOCH_BYTES,
    PAGE,
    Entry,
    Opening,
    Record,
    decode_opening,
    encode_opening,
    encode_record,
    read_records,
    whole_pages,
)
from node.archive.part import Part
from node.faults import FaultPoint
from node.logs import log_failure
from node.rounds import Rounds

logger = logging.getLogger("radnode.journal")


@dataclass(frozen=True)
class JournalSize:
    """How much disk the journal may take, and the largest file it copies.

    A larger one is flushed where it lies: to that its name adds little.
    """

    segment_bytes: int
    most_segments: int
    largest_file_bytes: int

    @classmethod
    def of(cls, megabytes: int) -> JournalSize:
        """Return eight segments that take so much, and a largest file of which eight fill one."""
        segment_bytes = max(1, megabytes) * (1 << 20) // 8
        return cls(segment_bytes, 8, segment_bytes // 8)


DEFAULT_SIZE = JournalSize.of(256)

_FOLDER = "journal"
_RETRY_SECONDS = 1.0
_QUIET_SECONDS = 0.5
_CLOSING_SECONDS = 10.0
_FLUSHED_AT_ONCE = 8
_ZEROS = bytes(1 << 20)


class _Segment:
    """A file of the journal, its blocks allocated, and what was written to it since it was last empty."""

    def __init__(self, path: Path, size: int) -> None:
        """Open a segment, which is made if need be; it may not be written to before `empty` was called."""
        if not path.exists():
            _allocate(path, size)
        self._path = path
        self._size = size
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._epoch = b""
        self._end = PAGE
        self.entries: list[Entry] = []

    def held(self, boot_id: str) -> tuple[list[Record], bool]:
        """Return what it holds since it was last empty, and whether the system has been running ever since."""
        opening = decode_opening(os.pread(self._descriptor, PAGE, 0))
        if opening is None:
            return [], True
        records = list(read_records(self._descriptor, opening.epoch))
        self.entries = [record.entry for record in records]
        return records, opening.boot_id == boot_id

    def content(self, record: Record) -> bytes:
        """Return the file of a record, which may be torn."""
        return os.pread(self._descriptor, record.entry.length, record.content_at)

    def empty(self, boot_id: str) -> None:
        """Make void whatever it holds, durably."""
        self._epoch = os.urandom(EPOCH_BYTES)
        os.pwrite(self._descriptor, encode_opening(Opening(self._epoch, boot_id)), 0)
        self.sync()
        self.entries, self._end = [], PAGE

    def has_room(self, entry: Entry) -> bool:
        return self._end + PAGE + whole_pages(entry.length) <= self._size

    def write(self, entry: Entry, content: memoryview | mmap.mmap) -> Record:
        """Copy a file in behind the one before."""
        padding = bytes(whole_pages(entry.length) - entry.length)
        written = os.pwritev(self._descriptor, (encode_record(self._epoch, entry), content, padding), self._end)
        if written != PAGE + entry.length + len(padding):
            raise OSError(f"journal: {entry.length} bytes were not written whole")
        record = Record(entry, self._end + PAGE)
        self._end += PAGE + whole_pages(entry.length)
        self.entries.append(entry)
        return record

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def replaced(self) -> _Segment:
        """Return a new segment in place of this one, which is gone."""
        os.close(self._descriptor)
        self._path.unlink(missing_ok=True)
        return _Segment(self._path, self._size)


class Journal:
    """Makes files durable by a copy; a file too large for that is flushed itself."""

    def __init__(
        self,
        root: Path,
        boot_id: str,
        sync_rows: Callable[[], None],
        size: JournalSize = DEFAULT_SIZE,
        *,
        is_flushed: bool = True,
    ) -> None:
        """Keep the journal of the archive at `root`, while the system runs that `boot_id` names.

        `sync_rows` returns once all rows committed so far are on the device; it is called before any space
        is used again. Unless it `is_flushed`, a copy survives the death of the process alone, and so does what it was
        made of. Call `replay` and then `start` before anything arrives.
        """
        self._size = size
        self._is_flushed = is_flushed
        self._root = root.resolve()
        self._boot_id = boot_id
        self._sync_rows = sync_rows
        self._each = EachFlushed(self._root) if is_flushed else Unflushed(self._root)
        self._flushes = Rounds(_sync_segments)
        self._changed = threading.Condition()  # its lock may be taken again by who holds it
        self._current: _Segment | None = None
        self._full: list[_Segment] = []
        self._free: list[_Segment] = []
        self._count = 0
        self._arriving: Counter[str] = Counter()
        self._trouble: OSError | None = None
        self._is_used = False
        self._is_closed = False
        self._written_at = 0.0
        self._hurried = 0
        self._thread = threading.Thread(target=self._look_after_segments, name="journal", daemon=True)

    def replay(self, put_back: Callable[[str, bytes], None]) -> dict[str, int]:
        """Give `put_back` every file that may not have survived, or has not been written yet.

        Return the paths of all that were in the journal, with the associations that brought them. What was
        not written whole was not answered either, and fails its checks.
        """
        make_folders(self._root, (_FOLDER,))
        held: dict[str, int] = {}
        for path in sorted((self._root / _FOLDER).glob("*.log")):
            segment = _Segment(path, self._size.segment_bytes)
            records, has_run_on = segment.held(self._boot_id)
            for record in records:
                if not has_run_on or not (self._root / record.entry.path).exists():
                    put_back(record.entry.path, segment.content(record))
                held[record.entry.path] = record.entry.association_id
            self._full.append(segment)
        self._count = len(self._full)
        return held

    def start(self, *, is_used: bool = True) -> None:
        """Begin to flush what `replay` returned, which must have its rows by now, and to take what arrives.

        A journal that is not used any more is only emptied, and what arrives is flushed itself.
        """
        self._is_used = is_used
        if is_used and not self._full:
            with suppress(OSError):  # tried again, and told to whoever sends
                self._add_spare()
        self._thread.start()

    def secure(self, part: Part, relative: str, association_id: int) -> ReadCopy | None:
        """Make a copy of a part durable, or the part itself where that fails."""
        copy = None
        if self._is_used and part.file_bytes <= self._size.largest_file_bytes:
            copy = self._copy(part, relative, association_id)
        if copy is None:
            self._each.secure(part, relative, association_id)
        return copy

    def _copy(self, part: Part, relative: str, association_id: int) -> ReadCopy | None:
        """Return what reads the copy once it is durable, None when it cannot be made so."""
        segment = None
        try:
            with part.content() as content:
                segment, record = self._write(Entry(relative, association_id, part.file_bytes), content)
            faults.reach(FaultPoint.JOURNAL_WRITTEN)
            if self._is_flushed:
                self._flushes.join(segment)
        except OSError as error:
            self._retire(segment)  # what the device lost of it, a later flush would not tell
            if error is not self._trouble:
                log_failure(logger, "journal not written, the file flushed itself", error)
            return None
        return partial(segment.content, record)

    def settle(self, relative: str) -> None:
        """Hear that the row of a file is committed; until then its copy stays."""
        with self._changed:
            self._arriving[relative] -= 1
            if self._arriving[relative] <= 0:
                del self._arriving[relative]
            if self._full and self._is_due():
                self._changed.notify_all()

    def flush(self) -> None:
        """Return once every file is on the device where it lies, and the journal holds none of them any more."""
        with self._changed:
            self._retire(self._current)
            self._wait_until_settled()

    def close(self) -> None:
        """Flush, so that the next start finds an empty journal, and stop.

        A file that still waits for its row after a while stays in the journal, where it is safe.
        """
        with self._changed:
            self._retire(self._current)
            self._wait_until_settled(_CLOSING_SECONDS)
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join()

    def _write(self, entry: Entry, content: memoryview | mmap.mmap) -> tuple[_Segment, Record]:
        with self._changed:
            self._written_at = time.monotonic()
            self._arriving[entry.path] += 1
            segment = self._segment_for(entry)
            try:
                return segment, segment.write(entry, content)
            except OSError:
                self._retire(segment)  # behind what is torn nothing would be found again
                raise

    def _segment_for(self, entry: Entry) -> _Segment:
        """Return a segment with room, waited for if need be; raises why there is none and will be none soon."""
        if self._current is not None and not self._current.has_room(entry):
            self._retire(self._current)
        while self._current is None:
            if self._free:
                self._current = self._free.pop()
                self._changed.notify_all()
            elif self._trouble is not None:
                raise self._trouble
            else:
                self._changed.wait()
        return self._current

    def _retire(self, segment: _Segment | None) -> None:
        """Write no more to a segment if it is the current one, and have its files flushed."""
        with self._changed:
            if segment is not None and segment is self._current:
                self._full.append(segment)
                self._current = None
                self._changed.notify_all()

    def _wait_until_settled(self, seconds: float | None = None) -> None:
        """Return once no segment is full, or after so long; the caller holds the lock."""
        self._hurried += 1
        self._changed.notify_all()
        try:
            self._changed.wait_for(lambda: not self._full, seconds)
        finally:
            self._hurried -= 1

    def _look_after_segments(self) -> None:
        """Settle segments that are full, and keep a spare one, for nobody should wait while one is made."""
        while (task := self._next_task()) is not None:
            trouble: OSError | None = None
            try:
                task()
            except Exception as error:  # noqa: BLE001 - nothing is removed, and soon nothing kept, without this thread
                log_failure(logger, "journal not looked after, tried again", error)
                trouble = error if isinstance(error, OSError) else OSError(errno.EIO, "the journal failed; see the log")
            with self._changed:
                self._trouble = trouble
                self._changed.notify_all()
                if trouble is not None:
                    self._changed.wait(_RETRY_SECONDS)

    def _next_task(self) -> Callable[[], None] | None:
        """Wait for something to do, and return it; None at the end."""
        with self._changed:
            while True:
                for segment in self._full if self._is_due() else ():
                    if not any(entry.path in self._arriving for entry in segment.entries):
                        return partial(self._settle_segment, segment)
                if self._is_closed:
                    return None
                if self._is_used and not self._free and self._count < self._size.most_segments:
                    return self._add_spare
                self._changed.wait(_QUIET_SECONDS if self._full else None)

    def _is_due(self) -> bool:
        """Tell whether full segments are to be settled, which slows down what arrives meanwhile."""
        most = self._size.most_segments
        is_last = not self._free and (self._current is None or self._count == most)
        is_quiet = time.monotonic() - self._written_at > _QUIET_SECONDS
        return is_last or is_quiet or len(self._full) > most // 2 or self._hurried > 0

    def _settle_segment(self, segment: _Segment) -> None:
        """Empty a segment, once its files are as safe as its copies were."""
        if self._is_flushed:
            self._flush_files(segment)
        faults.reach(FaultPoint.JOURNAL_SETTLED)
        emptied = self._emptied(segment)
        with self._changed:
            self._full.remove(segment)
            self._free.append(emptied)

    def _flush_files(self, segment: _Segment) -> None:
        """Flush the files of a segment, their names and their rows."""
        paths = list({self._root / entry.path for entry in segment.entries})
        shares = [paths[first::_FLUSHED_AT_ONCE] for first in range(_FLUSHED_AT_ONCE)]
        with ThreadPoolExecutor(_FLUSHED_AT_ONCE) as pool:  # flushes that wait together share their way to the device
            list(pool.map(_sync_those_there, shares))
        sync_folders(path.parent for path in paths)
        self._sync_rows()

    def _emptied(self, segment: _Segment) -> _Segment:
        """Return the segment emptied, or another in its place where the device does not take that."""
        try:
            segment.empty(self._boot_id)
        except OSError as error:
            log_failure(logger, "journal segment replaced", error)
            segment = segment.replaced()
            segment.empty(self._boot_id)
        return segment

    def _add_spare(self) -> None:
        segment = _Segment(self._root / _FOLDER / f"{self._count:02}.log", self._size.segment_bytes)
        segment.empty(self._boot_id)
        with self._changed:
            self._count += 1
            self._free.append(segment)


def _sync_segments(segments: Sequence[_Segment]) -> None:
    for segment in set(segments):
        segment.sync()
    faults.reach(FaultPoint.JOURNAL_FLUSHED)


def _sync_those_there(paths: Sequence[Path]) -> None:
    for path in paths:
        with suppress(FileNotFoundError):  # put aside or thrown away meanwhile
            sync_content(path)


def _allocate(path: Path, size: int) -> None:
    """Make a file whose blocks are all written once, so that no later flush has to allocate or convert any."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    try:
        with create_file(part) as file:
            for at in range(0, size, len(_ZEROS)):
                file.write(_ZEROS[: size - at])
            sync_file(file)
        move_durably(part, path)
    finally:
        part.unlink(missing_ok=True)

