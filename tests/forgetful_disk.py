"""A model of a disk that forgets, when power is lost, what was not flushed; it is fed the system calls of a process.

What POSIX promises and no more: a file's bytes outlive a loss of power once the file was flushed, a name once its
folder was. Whatever was written since may be there, be missing, or be torn at a page.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

PAGE_BYTES = 4096

Survives = Callable[[], bool]  # tells, each time it is asked, whether one more thing outlives the loss of power


def nothing_survives() -> bool:
    return False


def everything_survives() -> bool:
    return True


def some_survives(chance: random.Random) -> Survives:
    """Let half of what was not flushed outlive the loss of power."""
    return lambda: chance.random() < 0.5


@dataclass(frozen=True)
class _Write:
    """Bytes written at an offset; without bytes, the file's new length."""

    offset: int
    data: bytes | None

    def pages(self) -> Iterator[_Write]:
        """Split at the borders of pages."""
        if self.data is None:
            yield self
            return
        at = 0
        while at < len(self.data):
            upto = at + PAGE_BYTES - (self.offset + at) % PAGE_BYTES
            yield _Write(self.offset + at, self.data[at:upto])
            at = upto

    def apply(self, content: bytearray) -> None:
        if self.data is None:
            del content[self.offset :]
            content.extend(bytes(self.offset - len(content)))
            return
        content.extend(bytes(max(0, self.offset - len(content))))
        content[self.offset : self.offset + len(self.data)] = self.data


@dataclass
class File:
    """Bytes, and those of them that were flushed."""

    content: bytearray = field(default_factory=bytearray)
    flushed: bytes = b""
    pending: list[_Write] = field(default_factory=list)
    position: int = 0

    def write(self, data: bytes, offset: int | None = None) -> None:
        """Write at an offset, or where the last write without one ended."""
        change = _Write(self.position if offset is None else offset, data)
        change.apply(self.content)
        self.pending.append(change)
        if offset is None:
            self.position += len(data)

    def truncate(self, length: int) -> None:
        change = _Write(length, None)
        change.apply(self.content)
        self.pending.append(change)

    def after_power_loss(self, survives: Survives) -> bytes:
        content = bytearray(self.flushed)
        for page in (page for change in self.pending for page in change.pages()):
            if survives():
                page.apply(content)
        return bytes(content)


@dataclass
class Folder:
    """Names, and those of them that were flushed; a name without an entry was taken away."""

    entries: dict[str, File | Folder] = field(default_factory=dict)
    flushed: dict[str, File | Folder] = field(default_factory=dict)
    pending: list[tuple[str, File | Folder | None]] = field(default_factory=list)

    def set(self, name: str, entry: File | Folder | None) -> None:
        _put(self.entries, name, entry)
        self.pending.append((name, entry))

    def after_power_loss(self, survives: Survives) -> dict[str, File | Folder]:
        entries = dict(self.flushed)
        for name, entry in self.pending:
            if survives():
                _put(entries, name, entry)
        return entries


def _put(entries: dict[str, File | Folder], name: str, entry: File | Folder | None) -> None:
    if entry is None:
        entries.pop(name, None)
    else:
        entries[name] = entry


@dataclass
class ForgetfulDisk:
    """Everything below one folder, which is empty at first; calls that concern other paths are not for it."""

    root: PurePosixPath
    top: Folder = field(default_factory=Folder)
    _syncs: dict[str, tuple[File | Folder, int, bytes]] = field(default_factory=dict)

    def holds(self, path: str) -> bool:
        return PurePosixPath(path).is_relative_to(self.root)

    def create(self, path: str, *, is_emptied: bool = False, appends: bool = False) -> None:
        """Open a file to write to, which is made if it is not there."""
        folder, name = self._place(path)
        if name not in folder.entries:
            folder.set(name, File())
        file = self.file(path)
        if is_emptied:
            file.truncate(0)
        file.position = len(file.content) if appends else 0

    def file(self, path: str) -> File:
        folder, name = self._place(path)
        entry = folder.entries[name]
        assert isinstance(entry, File), path
        return entry

    def make_folder(self, path: str) -> None:
        folder, name = self._place(path)
        folder.set(name, Folder())

    def remove(self, path: str) -> None:
        folder, name = self._place(path)
        folder.set(name, None)

    def rename(self, source: str, target: str) -> None:
        folder, name = self._place(source)
        entry = folder.entries[name]
        there, new_name = self._place(target)
        there.set(new_name, entry)
        folder.set(name, None)

    def begin_flush(self, by: str, path: str) -> None:
        """Note what a flush has to make durable: what was written until it began."""
        entry = self._entry(path)
        content = bytes(entry.content) if isinstance(entry, File) else b""
        self._syncs[by] = (entry, len(entry.pending), content)

    def end_flush(self, by: str) -> None:
        entry, count, content = self._syncs.pop(by)
        if isinstance(entry, File):
            entry.flushed = content
        else:
            for name, named in entry.pending[:count]:
                _put(entry.flushed, name, named)
        del entry.pending[:count]

    def after_power_loss(self, folder: Path, survives: Survives) -> None:
        """Write what the machine finds when it has power again."""
        _write_out(self.top, folder, survives)

    def _entry(self, path: str) -> File | Folder:
        entry: File | Folder = self.top
        for name in PurePosixPath(path).relative_to(self.root).parts:
            assert isinstance(entry, Folder), path
            entry = entry.entries[name]
        return entry

    def _place(self, path: str) -> tuple[Folder, str]:
        folder = self._entry(str(PurePosixPath(path).parent))
        assert isinstance(folder, Folder), path
        return folder, PurePosixPath(path).name


def _write_out(folder: Folder, there: Path, survives: Survives) -> None:
    there.mkdir(mode=0o700, exist_ok=True)
    for name, entry in folder.after_power_loss(survives).items():
        if isinstance(entry, File):
            (there / name).write_bytes(entry.after_power_loss(survives))
        else:
            _write_out(entry, there / name, survives)
