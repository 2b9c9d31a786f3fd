"""Small ONNX networks of the kind that insightface takes for recognition."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_embedder(path: Path, batch: int | str = 1, normalises: bool = False, **parts: Any) -> Path:
    """Convolution, batch norm, PReLU, pooling, a Reshape with the batch size in it, Gemm: 16 numbers a face."""
    rng = np.random.default_rng(0)
    weights = {
        "mean": np.float32([127.5]),
        "scale": np.float32([1 / 128]),
        "filters": rng.normal(size=(8, 3, 9, 9)).astype(np.float32) / 9,
        "gamma": rng.uniform(0.5, 2, 8).astype(np.float32),
        "beta": rng.normal(size=8).astype(np.float32) / 9,
        "average": rng.normal(size=8).astype(np.float32) / 9,
        "variance": rng.uniform(0.5, 2, 8).astype(np.float32),
        "slope": rng.uniform(0, 0.3, (8, 1, 1)).astype(np.float32),
        "shape": np.int64([batch if isinstance(batch, int) else -1, 72]),
        "matrix": rng.normal(size=(16, 72)).astype(np.float32),
        "bias": rng.normal(size=16).astype(np.float32) / 9,
    }
    first = [
        helper.make_node("Sub", ["input", "mean"], ["centred"], name="Sub_0"),
        helper.make_node("Mul", ["centred", "scale"], ["levels"], name="Mul_1"),
    ]
    nodes = [
        *(first if normalises else []),
        helper.make_node(
            "Conv", ["levels" if normalises else "input", "filters"], ["a"], name="Conv_2", strides=[9, 9]
        ),
        helper.make_node(
            "BatchNormalization", ["a", "gamma", "beta", "average", "variance"], ["b"], name="bn"
        ),
        helper.make_node("PRelu", ["b", "slope"], ["c"], name="prelu"),
        helper.make_node("AveragePool", ["c"], ["d"], name="pool", kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Reshape", ["d", "shape"], ["e"], name="reshape"),
        helper.make_node("Gemm", ["e", "matrix", "bias"], ["output"], name="fc", transB=1),
    ]
    return save(path, parts.pop("nodes", nodes), weights, batch, **parts)


def save(
    path: Path,
    nodes: list[onnx.NodeProto],
    weights: dict[str, np.ndarray],
    batch: int | str = 1,
    side: int = 112,
    dimensions: int = 16,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "embedder",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, side, side])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, dimensions])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return path
