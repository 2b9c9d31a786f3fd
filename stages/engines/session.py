"""Run networks in onnxruntime: on one core, with results that do not depend on how faces were batched."""

from typing import Any, Literal

import numpy as np
import onnxruntime

from facerefs.schemas.arrays import Float32s
from facerefs.stages.engines.engine import MissingWeights

Device = Literal["cpu", "cuda"]

_BATCH_SIZES = {"cpu": 1, "cuda": 16}  # larger batches are faster on a GPU only


def one_thread_options() -> onnxruntime.SessionOptions:
    """Session options for one thread, since a worker has one core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return options


def execution_provider(device: Device) -> str:
    """The onnxruntime execution provider of a device. Raises MissingWeights if this onnxruntime lacks it."""
    name = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[device]
    if name not in onnxruntime.get_available_providers():
        raise MissingWeights(f"onnxruntime has no {name}: install onnxruntime-gpu, or set device to cpu")
    return name


def run_in_batches(session: Any, inputs: Float32s, device: Device) -> Float32s:
    """The outputs float32 (N, D) of a network with one input and one output, for inputs float32 (N, ...).

    The batch size is always the same, and the last batch is padded with zeros: another batch size could change the last
    bits. A network with a fixed batch size gets that.
    """
    (network_input,) = session.get_inputs()
    size = network_input.shape[0]
    batch_size = size if isinstance(size, int) else _BATCH_SIZES[device]
    missing = -len(inputs) % batch_size
    filled = np.concatenate([inputs, np.zeros((missing, *inputs.shape[1:]), np.float32)])
    outputs = [
        session.run(None, {network_input.name: filled[start : start + batch_size]})[0]
        for start in range(0, len(filled), batch_size)
    ]
    rows: Float32s = np.concatenate(outputs)[: len(inputs)]
    return rows
