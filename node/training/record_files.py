"""Keeps prepared examples in sharded TFRecord files, for sets that do not fit into memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import tensorflow as tf

from node.errors import TrainingDataError
from node.training.sources import Example

PATTERN = "examples-*-of-*.tfrecord"
COUNT = "count.txt"
SHUFFLED_AT_ONCE = 32
PARTS = ("input", "target")

_FEATURES = {
    **{part: tf.io.FixedLenFeature((), tf.string) for part in PARTS},
    **{f"{part}_shape": tf.io.VarLenFeature(tf.int64) for part in PARTS},
}


def write_record_files(examples: Iterable[Example], folder: Path, shards: int) -> int:
    """Write the examples in turn to so many files, and return how many there were.

    Files of an earlier set in the folder are removed first; the count is written last, so that a set
    that was interrupted is not taken for a whole one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in (folder / COUNT, *folder.glob(PATTERN)):
        old.unlink(missing_ok=True)
    files = [folder / f"examples-{number:05d}-of-{shards:05d}.tfrecord" for number in range(shards)]
    count = 0
    with ExitStack() as opened:
        writers = [opened.enter_context(tf.io.TFRecordWriter(str(file))) for file in files]
        for count, example in enumerate(examples, start=1):
            writers[count % shards].write(_encode(example))
    (folder / COUNT).write_text(f"{count}\n", encoding="utf-8")
    return count


class RecordFiles:
    """Examples in the files of a folder: the files in another order in every epoch, and shuffled within a buffer."""

    def __init__(self, folder: Path, seed: int) -> None:
        """Raise TrainingDataError where `write_record_files` did not finish."""
        if not (folder / COUNT).is_file():
            raise TrainingDataError(f"{folder}: holds no complete set of record files; write them again")
        self._files = sorted(str(path) for path in folder.glob(PATTERN))
        self._count = int((folder / COUNT).read_text(encoding="utf-8"))
        self._seed = seed

    def __len__(self) -> int:
        return self._count

    def examples(self, epoch: int) -> Iterator[Example]:
        """Yield every example once."""
        rng = np.random.default_rng([self._seed, epoch])
        files = [self._files[number] for number in rng.permutation(len(self._files))]
        names = tf.data.Dataset.from_tensor_slices(files)
        records = names.interleave(tf.data.TFRecordDataset, cycle_length=len(files))
        shuffled = records.shuffle(SHUFFLED_AT_ONCE, seed=int(rng.integers(2**31)))
        yield from shuffled.map(_decode).prefetch(2).as_numpy_iterator()


def _encode(example: Example) -> bytes:
    features: dict[str, tf.train.Feature] = {}
    for part, values in zip(PARTS, example, strict=True):
        raw = np.ascontiguousarray(values, np.float32).tobytes()
        features[part] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[raw]))
        features[f"{part}_shape"] = tf.train.Feature(int64_list=tf.train.Int64List(value=values.shape))
    encoded: bytes = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    return encoded


def _decode(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return input and target of a record; TensorFlow runs this beside what the training does."""
    features = tf.io.parse_single_example(record, _FEATURES)
    values = [
        tf.reshape(tf.io.decode_raw(features[part], tf.float32), tf.sparse.to_dense(features[f"{part}_shape"]))
        for part in PARTS
    ]
    return values[0], values[1]
