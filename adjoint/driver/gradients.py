"""The gradient of all ranks, from what each of them has accumulated."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.driver import constants
from adjoint.parallel import Communicator

__all__ = ["sum_gradients"]


def sum_gradients(
    accumulators: Mapping[str, NDArray[Any]], distributed: Collection[str], comm: Communicator
) -> dict[str, NDArray[Any]]:
    """Return the gradients summed over ranks; of `distributed` controls, this rank's part.

    Collective. Arrays in memory are copied. Others (memory maps, HDF5 datasets) are returned
    themselves, summed in place row by row. Small ones are joined in one reduction.
    """
    gradient: dict[str, NDArray[Any]] = {}
    small: dict[np.dtype[Any], list[NDArray[Any]]] = {}
    for name, grown in accumulators.items():
        in_memory = type(grown) is np.ndarray
        gradient[name] = grown.copy() if in_memory else grown
        if comm.size == 1 or name in distributed:
            continue
        if not in_memory:
            _sum_rows(grown, comm)
        elif grown.nbytes > constants.MAX_JOINED_BYTES:
            comm.sum(gradient[name])
        else:
            small.setdefault(grown.dtype, []).append(gradient[name])
    for arrays in small.values():
        _sum_together(arrays, comm)
    return gradient


def _sum_together(arrays: Sequence[NDArray[Any]], comm: Communicator) -> None:
    """Replace arrays of one dtype by their sums over ranks, in one reduction."""
    joined = np.concatenate([array.reshape(-1) for array in arrays])
    comm.sum(joined)
    start = 0
    for array in arrays:
        array[...] = joined[start : start + array.size].reshape(array.shape)
        start += array.size


def _sum_rows(array: NDArray[Any], comm: Communicator) -> None:
    """Replace an array that is not in memory by its sum over ranks, a row at a time."""
    if array.ndim == 0:
        comm.sum(array)
        return
    for row in range(array.shape[0]):
        total = np.array(array[row])
        comm.sum(total)
        array[row] = total
