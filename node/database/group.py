"""Group commit: transactions that wait at the same moment share one write lock and one flush."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Generic, Protocol, TypeVar

from node.errors import ArchiveFull, DatabaseBusy
from node.rounds import Rounds

_Found = TypeVar("_Found")
_Writer = TypeVar("_Writer")
_Given_co = TypeVar("_Given_co", covariant=True)


class _Write(Protocol[_Given_co]):
    """What opens a transaction, as `Database.writing` and `Database.adding` do."""

    def __call__(self, *, is_flushed: bool) -> AbstractContextManager[_Given_co]: ...


class _Work(Generic[_Writer]):
    """What one caller wants done in the common transaction, and what came of it."""

    def __init__(self, act: Callable[[_Writer], Any], is_flushed: bool) -> None:
        self.act = act
        self.is_flushed = is_flushed
        self.found: Any = None
        self.error: Exception | None = None


class GroupCommit(Generic[_Writer]):
    """Commits for many threads at once; each hears of success after the commit that holds its rows."""

    def __init__(self, write: _Write[_Writer]) -> None:
        """Commit what is done with what `write` gives: a session, or a transaction for prepared statements."""
        self._write = write
        self._rounds = Rounds(self._commit)

    def run(self, act: Callable[[_Writer], _Found], *, is_flushed: bool = True) -> _Found:
        """Return what `act` returned, once it is committed; raises what it raised, with nothing of it kept.

        `act` may be called twice, for what fails beside others is tried alone; it must change nothing
        but rows. The commit is flushed if any that shares it must be. Raises DatabaseBusy, ArchiveFull.
        """
        work = _Work(act, is_flushed)
        self._rounds.join(work)
        if work.error is not None:
            raise work.error
        found: _Found = work.found
        return found

    def _commit(self, works: Sequence[_Work[_Writer]]) -> None:
        try:
            self._commit_together(works)
        except (DatabaseBusy, ArchiveFull):
            raise  # whoever tries alone would fare no better
        except Exception:  # what one of them does must not cost the others theirs
            if len(works) == 1:
                raise
            for work in works:
                self._commit_alone(work)

    def _commit_together(self, works: Sequence[_Work[_Writer]]) -> None:
        with self._write(is_flushed=any(work.is_flushed for work in works)) as writer:
            for work in works:
                work.found = work.act(writer)

    def _commit_alone(self, work: _Work[_Writer]) -> None:
        try:
            self._commit_together([work])
        except Exception as error:  # noqa: BLE001 - raised again in the thread whose work it is
            work.error = error
