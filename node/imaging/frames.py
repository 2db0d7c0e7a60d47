"""Frames of a whole series: by several threads where reading or decoding lets them run, else instance by instance."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from numpy.typing import NDArray

from node.imaging.decoding import check_depth, decode_frames
from node.imaging.filling import Filling, may_settle
from node.imaging.native import NativeFrames, native_frames
from node.imaging.slices import Slice
from node.imaging.unlocked import is_unlocked

StoredValues = NDArray[Any]

_MOST_THREADS = 8  # more than the one that takes their frames can keep busy
_CHUNK = 16  # frames of an instance that one thread reads, while another reads the next


def decode_slices(slices: Sequence[Slice], threads: int = 0) -> Iterator[tuple[int, StoredValues]]:
    """Yield the stored values of each slice with its place in the sequence, in any order.

    So many threads decode (0 for as many as there are cores), and hold few frames more than they are themselves.
    Raises PixelsRefused like `decode_frames`.
    """
    count = _count(slices, threads)
    if count > 1 and all(is_unlocked(part.dataset) for part in slices):
        yield from enumerate(_by_threads(slices, count))
        return
    for places in _by_instance(slices).values():
        indices = [slices[place].index for place in places]
        yield from zip(places, decode_frames(slices[places[0]].dataset, indices), strict=True)


def settle_native(slices: Sequence[Slice], filling: Filling, threads: int = 0) -> set[int]:
    """Read what lies uncompressed in 16 bits to where it belongs, by threads as above; return which places are settled.

    What is left, for whatever reason, is for `decode_slices`. Raises PixelsRefused like `decode_frames`.
    """
    parts = iter([part for places in _by_instance(slices).values() for part in _chunks(places)])
    settled: set[int] = set()

    def settle() -> None:
        for places in parts:
            dataset = slices[places[0]].dataset
            check_depth(dataset)
            frames = native_frames(dataset)
            if frames is not None:
                settled.update(_settle(slices, places, frames, filling))

    count = _count(slices, threads)
    with ThreadPoolExecutor(count, "reader") as pool:
        for ended in [pool.submit(settle) for _ in range(count)]:
            ended.result()
    return settled


def _settle(slices: Sequence[Slice], places: Sequence[int], frames: NativeFrames, filling: Filling) -> Iterator[int]:
    """Yield which of the slices of an instance are settled."""
    for place in places:
        part = slices[place]
        is_there = part.index < frames.count and may_settle(part)
        stored = frames.frame_into(part.index, filling.room(place)) if is_there else None
        if stored is not None and filling.settle(place, stored, part):
            yield place


def _count(slices: Sequence[Slice], threads: int) -> int:
    return min(threads or len(os.sched_getaffinity(0)), len(slices), _MOST_THREADS)


def _chunks(places: Sequence[int]) -> Iterator[Sequence[int]]:
    return (places[first : first + _CHUNK] for first in range(0, len(places), _CHUNK))


def _by_threads(slices: Sequence[Slice], count: int) -> Iterator[StoredValues]:
    ahead: deque[Future[StoredValues]] = deque()
    with ThreadPoolExecutor(count, "decoder") as pool:
        for part in slices:
            ahead.append(pool.submit(_decode, part))
            if len(ahead) > count:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _decode(part: Slice) -> StoredValues:
    return next(decode_frames(part.dataset, (part.index,)))


def _by_instance(slices: Sequence[Slice]) -> dict[int, list[int]]:
    """Return the places of each instance's frames, by frame index, so that each is decoded in one go."""
    places: dict[int, list[int]] = {}
    for place, part in enumerate(slices):
        places.setdefault(id(part.dataset), []).append(place)
    return {key: sorted(found, key=lambda place: slices[place].index) for key, found in places.items()}
