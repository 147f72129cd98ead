"""What `solvers.recurrent.network` is given, checked and made ready."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError
from solvers.recurrent.layer import Layer
from solvers.recurrent.losses import Loss
from solvers.sequences import RowSink

__all__ = ["check_input_gradient", "check_inputs", "check_pair", "check_sizes", "named_weights"]


def check_sizes(dtype: np.dtype[Any], *sizes: int) -> None:
    """Refuse number types without BLAS, and sizes less than one."""
    if dtype.char not in "fd":
        raise ArgumentError(f"dtype must be float64 or float32, not {dtype}")
    names = ("input_size", "hidden_size", "batch", "num_layers", "leaf_steps")
    for name, size in zip(names, sizes, strict=True):
        if size < 1:
            raise ArgumentError(f"{name}={size}: it must be at least one")


def check_pair(name: str, loss: Any, targets_name: str, targets: Any) -> None:
    """Refuse a loss without targets, and targets without a loss."""
    if (loss is None) != (targets is None):
        given, absent = (name, targets_name) if targets is None else (targets_name, name)
        raise ArgumentError(f"{given} is given, but not {absent}: give both or neither")


def check_inputs(given: Any, row: tuple[int, int], start: int, stop: int) -> None:
    """Refuse inputs of the wrong shape, or that are not real."""
    if tuple(given.shape[1:]) != row or np.dtype(given.dtype).kind not in "fiub":
        raise ArgumentError(
            f"inputs for the steps [{start}, {stop}) have rows of shape {tuple(given.shape[1:])} "
            f"and dtype {given.dtype}: they must be {row}, batch and input_size, and real"
        )


def check_input_gradient(inputs: Any, gradient: RowSink, row: tuple[int, int]) -> None:
    """Refuse a gradient of inputs that are not an array, or of another shape."""
    if not hasattr(inputs, "shape"):
        raise ArgumentError(
            "input_gradient is given, but inputs are a function: only of an array, a memory map "
            "or an HDF5 dataset there can be a gradient"
        )
    if tuple(gradient.shape) != tuple(inputs.shape) or tuple(inputs.shape[1:]) != row:
        raise ArgumentError(
            f"input_gradient has shape {tuple(gradient.shape)}, inputs {tuple(inputs.shape)}: both "
            f"must be steps by {row}, batch and input_size"
        )


def named_weights(
    layers: Sequence[Layer], losses: Mapping[str, Loss], dtype: np.dtype[Any], seed: int
) -> dict[str, NDArray[Any]]:
    """Return the weights of layers, drawn at random, and those that losses have.

    Raises
    ------
    ArgumentError
        Those of a loss are of another number type.
    """
    generator = np.random.default_rng(seed)
    bound = layers[0].hidden_size ** -0.5
    weights: dict[str, NDArray[Any]] = {}
    for layer in layers:
        for name, shape in layer.weight_shapes().items():
            weights[name] = generator.uniform(-bound, bound, shape).astype(dtype)
    for name, loss in losses.items():
        for part, weight in loss.weights.items():
            if weight.dtype != dtype:
                raise ArgumentError(
                    f"{name}.{part} is {weight.dtype}, the network {dtype}: give both one dtype"
                )
            weights[f"{name}.{part}"] = weight
    return weights
