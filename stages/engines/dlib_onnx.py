"""Build dlib's face ResNet as an ONNX graph, which onnxruntime runs many times faster than dlib does."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from facerefs.stages.engines.dlib_layers import BLOCKS, DIMENSIONS, Block, Convolution, ResnetWeights

CHIP_PX = 150
_OPSET = 17
_IR_VERSION = 8  # the version of that opset's time, which older releases of onnxruntime read, too


def resnet_onnx(weights: ResnetWeights) -> bytes:
    """The network of `dnn_face_recognition_ex.cpp` as an ONNX file: `chips` (N, 3, 150, 150), 0 to 255, to (N, 128)."""
    graph = _Graph()
    mean = np.array(weights.mean_rgb, np.float32)[:, None, None]
    levels = graph.add("Sub", "chips", graph.constant(mean))
    levels = graph.add("Mul", levels, graph.constant(np.float32(1 / 256)))
    convolutions = iter(weights.convolutions)
    features = graph.convolved(levels, next(convolutions), stride=2)
    features = graph.add("MaxPool", graph.add("Relu", features), kernel_shape=[3, 3], strides=[2, 2])
    shape = (weights.convolutions[0].bias.size, 35, 35)
    for block in BLOCKS:
        first, second = next(convolutions), next(convolutions)
        features, shape = graph.residual(features, shape, block, first, second)
    features = graph.add("GlobalAveragePool", features)
    graph.add("MatMul", graph.add("Flatten", features), graph.constant(weights.embedding), out="embeddings")
    return graph.serialised()


class _Graph:
    """A graph in the making: its nodes and constants, with generated names."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, operation: str, *inputs: str, out: str = "", **attributes: int | list[int]) -> str:
        out = out or f"value{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(operation, list(inputs), [out], None, None, None, None, **attributes)
        )
        return out

    def constant(self, value: np.ndarray | np.generic) -> str:
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def convolved(self, features: str, by: Convolution, stride: int = 1) -> str:
        """Add a convolution; with stride 2 it has no padding."""
        padding = by.weight.shape[-1] // 2 if stride == 1 else 0
        weight, bias = self.constant(by.weight), self.constant(by.bias)
        return self.add("Conv", features, weight, bias, strides=[stride] * 2, pads=[padding] * 4)

    def residual(
        self,
        features: str,
        shape: tuple[int, int, int],
        block: Block,
        first: Convolution,
        second: Convolution,
    ) -> tuple[str, tuple[int, int, int]]:
        """Add a residual block; where the two tensors of its sum differ in size, the smaller is padded with zeros."""
        channels, side, _ = shape
        changed = self.convolved(features, first, stride=2 if block.down else 1)
        changed = self.convolved(self.add("Relu", changed), second)
        changed_side, kept_side = side, side
        if block.down:
            changed_side, kept_side = (side - 3) // 2 + 1, side // 2
            features = self.add("AveragePool", features, kernel_shape=[2, 2], strides=[2, 2])
        side = max(changed_side, kept_side)
        changed = self._filled(changed, (0, side - changed_side))
        features = self._filled(features, (block.channels - channels, side - kept_side))
        return self.add("Relu", self.add("Add", changed, features)), (block.channels, side, side)

    def _filled(self, features: str, more: tuple[int, int]) -> str:
        """Pad with zeros after the last channel, and after the last rows and columns."""
        if not any(more):
            return features
        ends = np.array([0, 0, 0, 0, 0, more[0], more[1], more[1]], np.int64)
        return self.add("Pad", features, self.constant(ends))

    def serialised(self) -> bytes:
        chips = helper.make_tensor_value_info("chips", TensorProto.FLOAT, ["N", 3, CHIP_PX, CHIP_PX])
        embeddings = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["N", DIMENSIONS])
        graph = helper.make_graph(self._nodes, "dlib-resnet", [chips], [embeddings], self._constants)
        opset = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())
