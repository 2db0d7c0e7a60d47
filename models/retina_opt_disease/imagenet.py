"""What the tutorial's network starts from: weights that Keras publishes of VGG16 trained on ImageNet."""

from __future__ import annotations

import hashlib
import urllib.request
from pathlib import Path

import numpy as np

from node.errors import TrainingDataError
from node.vocabulary import Pixels

WEIGHTS_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels.h5"
)
WEIGHTS_MD5 = "64373286793e3c8b2b4e3219cbf3544b"  # as in keras.applications.vgg16
PIECE = 1 << 20
PATIENCE_SECONDS = 60

# These weights were trained on blue, green, red less these means, in 0..255.
MEANS = (103.939, 116.779, 123.68)


def fetch_imagenet(folder: Path, url: str = WEIGHTS_URL) -> Path:
    """Return the weights file in `folder`, which is downloaded if it is not there, 528 MB.

    Raises TrainingDataError where it cannot be downloaded, or is not the file expected.
    """
    file = folder / url.rsplit("/", 1)[1]
    if not file.is_file():
        _download(url, file)
    with file.open("rb") as opened:
        found = hashlib.file_digest(opened, "md5").hexdigest()
    if found != WEIGHTS_MD5:
        raise TrainingDataError(f"{file}: has MD5 {found}, expected {WEIGHTS_MD5}; delete it and fetch it again")
    return file


def as_imagenet(grey: Pixels) -> Pixels:
    """Return (…, 3) as these weights expect it, of grey pictures (…, 1) in 0..1."""
    return np.asarray(grey * 255.0 - np.array(MEANS, np.float32), np.float32)


def _download(url: str, file: Path) -> None:
    """Download to `file`; what arrives in part is not kept."""
    part = file.with_suffix(".part")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer, part.open("wb") as kept:
            while piece := answer.read(PIECE):
                kept.write(piece)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise TrainingDataError(
            f"the ImageNet weights of VGG16 cannot be fetched ({error}); download {url} on another machine and put it "
            f"into {file.parent}"
        ) from error
    part.rename(file)
