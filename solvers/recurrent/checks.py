"""Checks of the arguments of `solvers.recurrent.network`, and its initial weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError
from solvers.recurrent.layer import Layer
from solvers.recurrent.losses import Loss
from solvers.sequences import RowSink

__all__ = [
    "check_input_gradient",
    "check_inputs",
    "check_pair",
    "check_sizes",
    "named_weights",
]


def check_sizes(dtype: np.dtype[Any], *sizes: int) -> None:
    """Refuse dtypes without BLAS, and sizes less than one."""
    if dtype.char not in "fd":
        raise ArgumentError(f"dtype must be float64 or float32, not {dtype}")
    names = ("input_size", "hidden_size", "batch", "num_layers", "leaf_steps")
    for name, size in zip(names, sizes, strict=True):
        if size < 1:
            raise ArgumentError(f"{name}={size}: must be at least one")


def check_pair(name: str, loss: Any, targets_name: str, targets: Any) -> None:
    """Refuse a loss without targets, and targets without a loss."""
    if (loss is None) != (targets is None):
        given, absent = (name, targets_name) if targets is None else (targets_name, name)
        raise ArgumentError(f"{given} was given without {absent}: give both or neither")


def check_inputs(given: Any, row: tuple[int, int], start: int, stop: int) -> None:
    """Refuse inputs that have the wrong shape or are not real."""
    if tuple(given.shape[1:]) != row or np.dtype(given.dtype).kind not in "fiub":
        raise ArgumentError(
            f"inputs for the steps [{start}, {stop}) have rows of shape {tuple(given.shape[1:])} "
            f"and dtype {given.dtype}: rows must be real, of shape (batch, input_size) = {row}"
        )


def check_input_gradient(inputs: Any, gradient: RowSink, row: tuple[int, int]) -> None:
    """Refuse a gradient of inputs that are a function, or of another shape."""
    if not hasattr(inputs, "shape"):
        raise ArgumentError(
            "input_gradient was given, but inputs are a function: give an array, a memory map or "
            "an HDF5 dataset to have a gradient with respect to it"
        )
    if tuple(gradient.shape) != tuple(inputs.shape) or tuple(inputs.shape[1:]) != row:
        raise ArgumentError(
            f"input_gradient has shape {tuple(gradient.shape)} and inputs {tuple(inputs.shape)}: "
            f"both must be (num_steps, batch, input_size) with (batch, input_size) = {row}"
        )


def named_weights(
    layers: Sequence[Layer], losses: Mapping[str, Loss], dtype: np.dtype[Any], seed: int
) -> dict[str, NDArray[Any]]:
    """Return randomly drawn weights of the layers, and the weights of the losses.

    Raises
    ------
    ArgumentError
        The weights of a loss have another dtype.
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
                    f"{name}.{part} has dtype {weight.dtype} but the network {dtype}: give both "
                    "the same dtype"
                )
            weights[f"{name}.{part}"] = weight
    return weights
