"""Types of NumPy arrays by dtype; shapes are given in the docstrings of functions."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Float32s: TypeAlias = NDArray[np.float32]
Float64s: TypeAlias = NDArray[np.float64]
Int32s: TypeAlias = NDArray[np.int32]
Int64s: TypeAlias = NDArray[np.int64]
UInt64s: TypeAlias = NDArray[np.uint64]
UInt8Image: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) RGB, 0 to 255."""
