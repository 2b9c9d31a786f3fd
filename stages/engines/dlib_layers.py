"""Read the layers of dlib's face ResNet from its file, in the order of dlib's `dnn_face_recognition_ex.cpp`."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facerefs.schemas.arrays import Float32s
from facerefs.stages.engines.dlib_file import MAX_BYTES, DlibReader, InvalidDlibFile
from facerefs.stages.engines.engine import MissingWeights

_MOST_VERSIONS = 1000


@dataclass(frozen=True)
class Block:
    """A residual block of two convolutions 3 x 3; `down` halves the sides."""

    channels: int
    down: bool = False


BLOCKS = (
    *[Block(32)] * 3,
    Block(64, down=True),
    *[Block(64)] * 3,
    Block(128, down=True),
    *[Block(128)] * 2,
    Block(256, down=True),
    *[Block(256)] * 2,
    Block(256, down=True),
)
STEM_CHANNELS = 32
DIMENSIONS = 128


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution, merged with the affine layer after it. weight: (out, in, side, side); bias: (out,)."""

    weight: Float32s
    bias: Float32s


@dataclass(frozen=True, eq=False)
class ResnetWeights:
    """The weights of the face ResNet. mean_rgb: subtracted from levels 0 to 255.

    convolutions: the stem, then two for each block. embedding: (256, 128).
    """

    mean_rgb: tuple[float, float, float]
    convolutions: tuple[Convolution, ...]
    embedding: Float32s


def read_resnet(path: Path) -> ResnetWeights:
    """The weights in a file such as `dlib_face_recognition_resnet_model_v1.dat`.

    Raises MissingWeights if the file is missing, is damaged, or holds another network.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise MissingWeights(f"{path} cannot be read: {error.strerror}") from None
    try:
        return _resnet(DlibReader(data))
    except InvalidDlibFile as error:
        raise MissingWeights(
            f"{path} is no file of dlib's face recognition ResNet, or is damaged: {error}"
        ) from None


def _resnet(reader: DlibReader) -> ResnetWeights:
    reader.expect_integers("the version of the loss", 1)
    reader.expect("loss_metric_2")
    for _ in ("margin", "threshold"):
        reader.real()
    _versions(reader)
    reader.expect("input_rgb_image_sized")
    red, green, blue = reader.real(), reader.real(), reader.real()
    reader.expect_integers("the input's side", 150, 150)

    convolutions = [_convolution(reader, 3, STEM_CHANNELS, side=7, stride=2, first=True)]
    _plain(reader, "relu_")
    _pool(reader, "max_pool_2", side=3, stride=2)
    channels = STEM_CHANNELS
    for block in BLOCKS:
        stride = 2 if block.down else 1
        convolutions.append(_convolution(reader, channels, block.channels, side=3, stride=stride))
        _plain(reader, "relu_")
        convolutions.append(_convolution(reader, block.channels, block.channels, side=3, stride=1))
        if block.down:
            _pool(reader, "avg_pool_2", side=2, stride=2)
        _plain(reader, "add_prev_")
        _plain(reader, "relu_")
        channels = block.channels
    _pool(reader, "avg_pool_2", side=0, stride=1)
    embedding = _embedding(reader, channels)
    if reader.remaining:
        raise InvalidDlibFile(f"{reader.remaining} bytes follow its last layer")
    return ResnetWeights((red, green, blue), tuple(convolutions), embedding)


def _versions(reader: DlibReader) -> None:
    """Skip the versions of all layers. Layers are nested, so these come first; 3 is the innermost, on the input."""
    for _ in range(_MOST_VERSIONS):
        if (version := reader.integer()) == 3:
            return
        if version not in {1, 2}:
            raise InvalidDlibFile(f"a layer of version {version}")
    raise InvalidDlibFile("too many layers")


def _convolution(
    reader: DlibReader, before: int, channels: int, side: int, stride: int, first: bool = False
) -> Convolution:
    shape = (channels, before, side, side)
    reader.expect("con_4")
    values = reader.parameters(math.prod(shape) + channels)
    padding = side // 2 if stride == 1 else 0
    reader.expect_integers("a convolution", channels, side, side, stride, stride, padding, padding)
    reader.skip_views()
    reader.skip_rates()
    reader.skip_end_of_layer()
    if first:
        reader.integer()  # images to a sample
    reader.expect("affine_")
    scale, shift = reader.parameters(2 * channels).reshape(2, channels)
    reader.skip_views()
    reader.expect_integers("the mode of an affine layer", 0)  # one number to a channel
    reader.skip_end_of_layer()
    weight, bias = values[:-channels].reshape(shape), values[-channels:]
    with np.errstate(over="ignore", invalid="ignore"):
        folded = Convolution(weight * scale[:, None, None, None], bias * scale + shift)
    if not (np.isfinite(folded.weight).all() and np.isfinite(folded.bias).all()):
        raise InvalidDlibFile("with its affine layer, a weight is not finite")
    return folded


def _plain(reader: DlibReader, name: str) -> None:
    reader.expect(name)
    reader.skip_end_of_layer()


def _pool(reader: DlibReader, name: str, side: int, stride: int) -> None:
    reader.expect(name)
    reader.expect_integers(name, side, side, stride, stride, 0, 0)
    reader.skip_end_of_layer()


def _embedding(reader: DlibReader, channels: int) -> Float32s:
    reader.expect("fc_2")
    reader.expect_integers("the last layer", DIMENSIONS, channels)
    values = reader.parameters(channels * DIMENSIONS)
    reader.skip_views()
    reader.expect_integers("the mode of the last layer", 1)  # without bias
    reader.skip_rates()
    reader.skip_end_of_layer()
    return values.reshape(channels, DIMENSIONS)
