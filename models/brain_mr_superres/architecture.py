"""The network: a residual 3D network that sharpens a volume which B-splines have brought to the finer grid.

Three ideas drawn together: a residual trunk without normalisation (Lim B et al.: Enhanced Deep Residual
Networks for Single Image Super-Resolution, CVPRW 2017, figure 2c); computing on the coarse grid, with the
finer voxels as channels (Shi W et al., CVPR 2016, figure 1); and adding what it finds to the interpolated
volume (Kim J et al.: VDSR, CVPR 2016, figure 1), so that untrained it equals cubic B-splines. One network serves both
factors, which the interpolated volume itself tells apart.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import KerasTensor, layers

WINDOW = (64, 96, 96)  # voxels of the finer grid: slices, rows, columns
CELL = (4, 2, 2)       # voxels of the finer grid that become the channels of one place of the trunk
FILTERS = 48
BLOCKS = 5
TUTORIAL_FILTERS = (16, 32, 64, 128)

Shape = tuple[int, int, int]


def build(window: Shape = WINDOW) -> keras.Model:
    """Return the untrained network: (64, 96, 96, 1), whitened, to the same, sharper.

    Another `window` whose sides are multiples of `CELL` takes the same weights.
    """
    volume = keras.Input((*window, 1), name="volume")
    voxels = CELL[0] * CELL[1] * CELL[2]

    cells = to_cells(volume, window, name="cells")                                    # (16, 48, 48, 16)
    x = first = layers.Conv3D(FILTERS, 3, padding="same", name="first")(cells)        # (16, 48, 48, 48)
    for block in range(1, BLOCKS + 1):
        x = residual_block(x, name=f"block{block}")                                   # (16, 48, 48, 48)
    x = layers.Add(name="trunk")([first, x])

    # Zeros to begin with: the answer of the untrained network is the interpolated volume.
    x = layers.Conv3D(voxels, 3, padding="same", kernel_initializer="zeros", name="last")(x)
    detail = to_voxels(x, window, name="detail")                                      # (64, 96, 96, 1)
    sharper = layers.Add(name="sharper", dtype="float32")([volume, detail])
    return keras.Model(volume, sharper, name="brain_mr_superres")


def build_tutorial(window: Shape = WINDOW) -> keras.Model:
    """Return the tutorial's network for [4, 4, 4]: DLTK's simple super-resolution, on the same input as `build`.

    Pawlowski N et al.: DLTK, 2017, `simple_super_resolution_3d` as in its IXI example: two convolutions at each of
    four numbers of filters, normalised and rectified up to 6, then one transposed convolution whose kernel is
    twice the factor. The coarse volume that it starts from is made of the interpolated one by averaging.
    """
    volume = keras.Input((*window, 1), name="volume")
    x = layers.AveragePooling3D(4, name="coarse")(volume)                             # (16, 24, 24, 1)
    for level, filters in enumerate(TUTORIAL_FILTERS, start=1):
        for step in "ab":
            x = layers.Conv3D(filters, 3, padding="same", use_bias=False, name=f"level{level}{step}_conv")(x)
            x = layers.BatchNormalization(name=f"level{level}{step}_norm")(x)
            x = layers.ReLU(6.0, name=f"level{level}{step}_relu")(x)                  # (16, 24, 24, filters)
    finer = layers.Conv3DTranspose(1, 8, strides=4, padding="same", use_bias=False, dtype="float32", name="finer")
    return keras.Model(volume, finer(x), name="dltk_simple_super_resolution")


VARIANTS: dict[str, Callable[..., keras.Model]] = {"tutorial": build_tutorial}


def residual_block(x: KerasTensor, name: str) -> KerasTensor:
    """Add to the input what two convolutions with one rectification between them make of it."""
    y = layers.Conv3D(FILTERS, 3, padding="same", activation="relu", name=f"{name}a")(x)
    y = layers.Conv3D(FILTERS, 3, padding="same", name=f"{name}b")(y)
    return layers.Add(name=f"{name}_add")([x, y])


def to_cells(x: KerasTensor, window: Shape, name: str) -> KerasTensor:
    """Gather the voxels of each cell as its channels."""
    (depth, height, width), (slices, rows, columns) = _cells(window), CELL
    x = layers.Reshape((depth, slices, height, rows, width, columns), name=f"{name}_split")(x)
    x = layers.Permute((1, 3, 5, 2, 4, 6), name=f"{name}_sort")(x)
    return layers.Reshape((depth, height, width, slices * rows * columns), name=name)(x)


def to_voxels(x: KerasTensor, window: Shape, name: str) -> KerasTensor:
    """Spread the channels of each cell over its voxels: undo `to_cells`."""
    (depth, height, width), (slices, rows, columns) = _cells(window), CELL
    x = layers.Reshape((depth, height, width, slices, rows, columns), name=f"{name}_split")(x)
    x = layers.Permute((1, 4, 2, 5, 3, 6), name=f"{name}_sort")(x)
    return layers.Reshape((*window, 1), name=name)(x)


def _cells(window: Shape) -> Shape:
    depth, height, width = (side // part for side, part in zip(window, CELL, strict=True))
    return depth, height, width
