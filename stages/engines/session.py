"""Networks in onnxruntime: on one core, and with bits that do not depend on how faces were grouped."""

from typing import Any, Literal

import numpy as np
import onnxruntime

from facerefs.schemas.arrays import Float32s
from facerefs.stages.engines.engine import MissingWeights

Device = Literal["cpu", "cuda"]

_AT_ONCE = {"cpu": 1, "cuda": 16}  # a core gains nothing from more; a GPU does


def one_core() -> onnxruntime.SessionOptions:
    """A worker has one core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return options


def provider(device: Device) -> str:
    """onnxruntime's name of a device. Raises MissingWeights where it was built without it."""
    name = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[device]
    if name not in onnxruntime.get_available_providers():
        raise MissingWeights(f"onnxruntime has no {name}: install onnxruntime-gpu, or set device to cpu")
    return name


def run_all(session: Any, inputs: Float32s, device: Device) -> Float32s:
    """Run a network of one input and one output: float32 (N, ...) -> float32 (N, D).

    Always as many at once, the last ones filled up with zeros: another batch size may give other last bits.
    Files that fix their batch size get that.
    """
    (taken,) = session.get_inputs()
    at_once = taken.shape[0] if isinstance(taken.shape[0], int) else _AT_ONCE[device]
    missing = -len(inputs) % at_once
    filled = np.concatenate([inputs, np.zeros((missing, *inputs.shape[1:]), np.float32)])
    outputs = [
        session.run(None, {taken.name: filled[start : start + at_once]})[0]
        for start in range(0, len(filled), at_once)
    ]
    rows: Float32s = np.concatenate(outputs)[: len(inputs)]
    return rows
