"""ArcFace networks in torch from insightface's ONNX files, through onnx2torch."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facerefs.stages.engines.engine import MissingWeights
from facerefs.stages.engines.weights import DEFAULT_PACK, find_onnx_files
from facerefs.stages.quality.torchvision_compat import import_torchvision

_MOST_BYTES = 2**30  # the largest of insightface's recognition files has 260 MB
_LEAST_SIDE_PX, _MOST_SIDE_PX, _LANDMARKS_SIDE_PX = 112, 512, 192
_MOST_DIMENSIONS = 4096
_LEAST_COSINE = 0.999  # between the embeddings of a face alone and in a batch


class ArcFaceNetwork(nn.Module):
    """ArcFace: RGB crops (B, 3, side_px, side_px) in [-1, 1] to embeddings that are not normalised yet.

    Deng et al., "ArcFace: Additive Angular Margin Loss", 2019.
    """

    def __init__(self, network: nn.Module, side_px: int, takes_levels: bool, dimensions: int) -> None:
        super().__init__()
        self.network = network
        self.side_px = side_px
        self.takes_levels = takes_levels
        self.dimensions = dimensions

    def forward(self, crops: Tensor) -> Tensor:
        """Embeddings (B, dimensions)."""
        embedded: Tensor = self.network((crops + 1) * 127.5 if self.takes_levels else crops)
        return embedded


def load_arcface(weights: str) -> tuple[ArcFaceNetwork, str]:
    """The first recognition network among the files of the setting `weights`, and the stem of its file name.

    weights: an .onnx file, a folder of them, or a pack in ~/.insightface/models, as for the engine.
    Raises MissingWeights.
    """
    for file in find_onnx_files(weights):
        model = _read(file)
        if (side_px := _recognition_side_px(model)) is not None:
            return _network(file, model, side_px), file.stem
    raise MissingWeights(f"{weights or DEFAULT_PACK} holds no InsightFace model for recognition")


def _read(file: Path) -> Any:
    """The file's ModelProto. Weights in external files are not read: a model may name any path."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        if file.stat().st_size > _MOST_BYTES:
            raise MissingWeights(f"{file} is larger than {_MOST_BYTES} bytes, which no face embedder is")
        return onnx.load_model(str(file), load_external_data=False)
    except OSError as error:
        raise MissingWeights(f"{file} cannot be read: {error.strerror}") from None
    except (DecodeError, ValueError) as error:
        raise MissingWeights(f"{file} is no ONNX model: {' '.join(str(error).split())}") from None


def _recognition_side_px(model: Any) -> int | None:
    """The input's side if insightface would treat the model as a recognition model (ModelRouter), else None."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        return None
    sides = [dim.dim_value for dim in inputs[0].type.tensor_type.shape.dim]
    if len(sides) != 4 or sides[1] != 3 or sides[2] != sides[3]:
        return None
    side: int = sides[2]
    fits = _LEAST_SIDE_PX <= side <= _MOST_SIDE_PX and side % 16 == 0 and side != _LANDMARKS_SIDE_PX
    return side if fits else None


def _takes_levels(model: Any) -> bool:
    """Whether the network normalises pixel values itself; by insightface's rule, from the names of its first nodes."""
    names = [node.name for node in model.graph.node[:8]]
    subtracts = any(name.startswith(("Sub", "_minus")) for name in names)
    return subtracts and any(name.startswith(("Mul", "_mul")) for name in names)


def _network(file: Path, model: Any, side_px: int) -> ArcFaceNetwork:
    try:
        network = _converted(model)
        dimensions = _checked_dimensions(network, side_px)
    except _unusable() as error:
        raise MissingWeights(
            f"{file} cannot be made a torch network: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from None
    return ArcFaceNetwork(network, side_px, _takes_levels(model), dimensions)


def _unusable() -> tuple[type[Exception], ...]:
    """The exceptions of onnx, onnx2torch and torch for graphs with unsuitable operators, values or shapes."""
    from onnx.checker import ValidationError
    from onnx.shape_inference import InferenceError

    of_onnx: tuple[type[Exception], ...] = (ValidationError, InferenceError)
    missing = (AssertionError, AttributeError, LookupError, NotImplementedError)
    return (*of_onnx, *missing, ArithmeticError, RuntimeError, TypeError, ValueError)


def _converted(model: Any) -> nn.Module:
    import_torchvision()  # onnx2torch imports it
    import onnx
    from onnx2torch import convert

    onnx.checker.check_model(model)
    _free_the_batch(model)
    network: nn.Module = convert(model)
    return network.eval().requires_grad_(False)


def _free_the_batch(model: Any) -> None:
    """Make the batch size variable, in place: the exporter may have fixed it to 1."""
    from onnx import numpy_helper

    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants.update((node.output[0], entry.t) for entry in node.attribute if entry.name == "value")
        shape = constants.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is not None and numpy_helper.to_array(shape).tolist()[:-1] in ([0], [1]):
            _flatten(node)
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"


def _flatten(node: Any) -> None:
    from onnx import helper

    node.op_type = "Flatten"
    del node.input[1], node.attribute[:]
    node.attribute.append(helper.make_attribute("axis", 1))


def _checked_dimensions(network: nn.Module, side_px: int) -> int:
    """The embedding's size. Raises ValueError if its shape is wrong or a face's embedding depends on its batch."""
    crops = torch.rand(2, 3, side_px, side_px, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        together = network(crops)
        alone = torch.cat([network(crop[None]) for crop in crops])
    if together.ndim != 2 or len(together) != 2 or not 1 < together.shape[1] <= _MOST_DIMENSIONS:
        raise ValueError(f"two faces become an output of {tuple(together.shape)}")
    cosine = torch.cosine_similarity(together, alone, dim=1).min().item()
    if not (math.isfinite(cosine) and cosine >= _LEAST_COSINE):
        raise ValueError("what it makes of a face depends on the other faces of the batch")
    return int(together.shape[1])
