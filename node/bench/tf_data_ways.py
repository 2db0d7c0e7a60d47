"""The same feeding with tf.data, as its documentation and DLTK's show it: tensors, a file of records, a generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
import tensorflow as tf

from node.bench.performing import Performance
from node.bench.train_io import BATCH, FILES, MEMORY, RECORDS
from node.bench.train_io_ways import PATCH, feeding
from node.training.sources import Example, Values

_AT_ONCE = tf.data.AUTOTUNE
_FEATURES = {
    "image": tf.io.FixedLenSequenceFeature((), tf.float32, allow_missing=True),
    "target": tf.io.FixedLenSequenceFeature((), tf.float32, allow_missing=True),
    "shape": tf.io.FixedLenFeature((4,), tf.int64),
}


def with_tf_data(folder: str, *volumes: str) -> Performance:
    """Feed with a data set of each kind, shuffled whole and fetched ahead."""
    examples = [_read(volume) for volume in volumes]
    records = str(Path(folder) / "examples.tfrecord")
    _write_records(examples, records)
    tensors = tuple(_stack(part) for part in zip(*examples, strict=True))
    sets = {
        MEMORY: _cut_patches(tf.data.Dataset.from_tensor_slices(tensors).shuffle(len(volumes))),
        RECORDS: _cut_patches(tf.data.TFRecordDataset(records).shuffle(len(volumes)).map(_decode, _AT_ONCE)),
        FILES: _patches_read(volumes),
    }

    def feed(source: str, _epoch: int, take: Callable[[Example], None]) -> None:
        for batch in sets[source]:
            take(batch)

    return feeding(feed)


def _stack(arrays: Sequence[Values]) -> Values:
    """Return one array of all, as tensors must be of one size; smaller ones are padded, and their middles coincide."""
    sides = np.max([array.shape[:3] for array in arrays], axis=0)
    stack = np.zeros((len(arrays), *sides, 1), np.float32)
    for place, array in zip(stack, arrays, strict=True):
        first = _corner(sides) - _corner(array.shape)
        place[tuple(map(slice, first, first + array.shape[:3]))] = array
    return stack


def _patches_read(volumes: Sequence[str]) -> Any:
    """Return a data set over a generator that reads and cuts, in the order of DLTK's reader."""

    def read() -> Iterator[Example]:
        for volume in volumes:
            yield _cut(*_read(volume))

    kind = tf.TensorSpec((*PATCH, 1), tf.float32)
    made = tf.data.Dataset.from_generator(read, output_signature=(kind, kind))
    return made.shuffle(len(volumes)).batch(BATCH, drop_remainder=True).prefetch(1)


def _cut_patches(made: Any) -> Any:
    cut = made.map(_cut, _AT_ONCE)
    return cut.batch(BATCH, drop_remainder=True).prefetch(_AT_ONCE)


def _cut(image: Any, target: Any) -> tuple[Any, Any]:
    """Cut the patch in the middle, of arrays or of tensors."""
    corner = _corner(tf.shape(image) if tf.is_tensor(image) else image.shape)
    places = tuple(slice(corner[axis], corner[axis] + side) for axis, side in enumerate(PATCH))
    return image[places], target[places]


def _corner(shape: Any) -> Any:
    """Return where the patch in the middle begins."""
    return (shape[:3] - np.asarray(PATCH)) // 2


def _read(path: str) -> Example:
    """Read and whiten as DLTK does."""
    image = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path)).astype(np.float32)
    white = ((image - image.mean()) / image.std())[..., np.newaxis]
    return white, (white > 0).astype(np.float32)


def _write_records(examples: Sequence[Example], file: str) -> None:
    """Write one file of lists of numbers, as the tutorials do."""
    with tf.io.TFRecordWriter(file) as writer:
        for image, target in examples:
            features = {
                "image": tf.train.Feature(float_list=tf.train.FloatList(value=image.ravel())),
                "target": tf.train.Feature(float_list=tf.train.FloatList(value=target.ravel())),
                "shape": tf.train.Feature(int64_list=tf.train.Int64List(value=image.shape)),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def _decode(record: Any) -> tuple[Any, Any]:
    features = tf.io.parse_single_example(record, _FEATURES)
    return tf.reshape(features["image"], features["shape"]), tf.reshape(features["target"], features["shape"])
