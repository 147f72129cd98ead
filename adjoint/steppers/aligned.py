"""Arrays that begin on a cache line."""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["aligned_zeros"]

ALIGNMENT = 64
"""A cache line, and the widest vector register."""


def aligned_zeros(shape: int | tuple[int, ...], dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """Return an array as `numpy.zeros` does, whose first element is on a cache line.

    NumPy's own begins at a multiple of 16 bytes: then vector instructions touch two lines each.
    """
    lengths = (shape,) if isinstance(shape, int) else shape
    dtype = np.dtype(dtype)
    if dtype.hasobject:
        return np.zeros(shape, dtype)
    memory = np.zeros(math.prod(lengths) * dtype.itemsize + ALIGNMENT, np.uint8)
    return np.ndarray(lengths, dtype, memory, -memory.ctypes.data % ALIGNMENT)
