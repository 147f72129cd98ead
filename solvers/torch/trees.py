"""States of a PyTorch model as nested tuples of tensors, and as NumPy arrays in their memory.

A state is a tensor, or a tuple or list of states: ``h``, ``(h, c)``, ``((h1, c1), (h2, c2))``. The
state that a cell returns must have the same structure, and each tensor the same shape, dtype and
device: the driver keeps states of one size in bytes, and a gradient through a silent conversion
would be that of another model.

A tensor on the CPU shares its memory with a NumPy array. NumPy has no bfloat16, so such a tensor is
seen as an array of 16-bit integers: that suffices, because the arrays are only stored and restored.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# PyTorch is not in the environment of the type checker.

from collections.abc import Callable, Iterator
from typing import Any

import torch
from numpy.typing import NDArray

from adjoint.errors import ArgumentError, StepperError

__all__ = ["StateForm", "Tree", "array_of", "bytes_of", "is_differentiable", "leaves", "tensor_of"]

Tree = Any
"""A tensor, or a tuple or list of trees."""


class StateForm:
    """The form of a state: its structure, and shape, dtype and device of its tensors.

    Parameters
    ----------
    state
        An example.

    Raises
    ------
    ArgumentError
        It is empty, or a part of it is not a dense tensor on the CPU.
    """

    def __init__(self, state: Tree) -> None:
        self._example = _map(_empty, state)
        self.tensors: tuple[Any, ...] = tuple(leaves(self._example))
        """Tensors of the form of those of a state, without their memory."""
        if not self.tensors:
            raise ArgumentError("the state is empty: give a tensor, or a tuple of tensors")
        self._forms = [(tensor.dtype, tensor.shape) for tensor in self.tensors]
        flat = isinstance(self._example, tuple | list)
        flat = flat and all(isinstance(child, torch.Tensor) for child in self._example)
        self._flat = len(self.tensors) if flat else 0
        """Number of tensors if a state is a tuple or list of tensors; otherwise 0."""

    def split(self, state: Tree, step: int) -> list[Any]:
        """Return the tensors of the state before `step`, after checking them.

        Raises
        ------
        StepperError
            The structure, a shape, a dtype or a device has changed. The message names the step that
            returned the state.
        """
        tensors = self._collected(state)
        if tensors is None:
            raise StepperError(
                f"step {step - 1} returned a state of structure {_structure(state)}: it must be "
                f"{_structure(self._example)}, like that of the initial state"
            )
        for index, (tensor, (dtype, shape)) in enumerate(zip(tensors, self._forms, strict=True)):
            if tensor.dtype is not dtype or tensor.shape != shape or not tensor.is_cpu:
                raise StepperError(
                    f"tensor {index} of the state became {_description(tensor)} in step "
                    f"{step - 1}; before, it was {_description(self.tensors[index])}. A state must "
                    "keep shape, dtype and device: give an initial state like the later ones"
                )
        return tensors

    def join(self, tensors: list[Any]) -> Tree:
        """Return the state that consists of these tensors."""
        if self._flat and type(self._example) is tuple:
            return tuple(tensors)
        remaining = iter(tensors)
        return _map(lambda _: next(remaining), self._example)

    def matches(self, tree: Tree) -> bool:
        """Return whether a tree has the structure of a state."""
        return self._collected(tree) is not None

    def _collected(self, tree: Tree) -> list[Any] | None:
        """Return the tensors of a tree; None if its structure is not that of a state."""
        if self._flat and isinstance(tree, tuple | list):  # a fast path, taken by every LSTM step
            tensors = list(tree)
            if len(tensors) == self._flat and set(map(type, tensors)) == {torch.Tensor}:
                return tensors
        tensors = list[Any]()
        return tensors if _collect(tree, self._example, tensors) else None


def tensor_of(rows: Any) -> Any:
    """Return rows of data as a tensor, without a copy if possible."""
    if isinstance(rows, torch.Tensor):
        return rows.detach()
    if not rows.flags.writeable or any(stride < 0 for stride in rows.strides):
        rows = rows.copy()
    return torch.from_numpy(rows)


def array_of(tensor: Any) -> NDArray[Any]:
    """Return an array that shares the memory of a tensor on the CPU.

    NumPy has no bfloat16: such a tensor becomes two opaque bytes an entry.
    """
    tensor = tensor.detach()
    if tensor.dtype is torch.bfloat16:
        return tensor.view(torch.int16).numpy().view("V2")
    return tensor.numpy()


def bytes_of(tensor: Any) -> bytes:
    """Return the bytes of a tensor; those of None are empty."""
    return b"" if tensor is None else array_of(tensor).tobytes()


def is_differentiable(tensor: Any) -> bool:
    """Return whether a tensor of this type can have a gradient."""
    return tensor.is_floating_point() or tensor.is_complex()


def _empty(tensor: Any) -> Any:
    if not isinstance(tensor, torch.Tensor):
        raise ArgumentError(
            f"the state contains {tensor!r}: it must be a tensor, or a tuple or list of states"
        )
    if tensor.device.type != "cpu" or tensor.layout is not torch.strided:
        raise ArgumentError(
            f"the state contains a tensor on {tensor.device}, {tensor.layout}: only dense tensors "
            "on the CPU are supported; move model and state there with .cpu()"
        )
    return torch.empty((), dtype=tensor.dtype).expand(tensor.shape)


def _map(function: Callable[[Any], Any], tree: Tree) -> Tree:
    if not isinstance(tree, tuple | list):
        return function(tree)
    children = [_map(function, child) for child in tree]
    if hasattr(tree, "_fields"):
        return type(tree)(*children)
    return type(tree)(children)


def leaves(tree: Tree) -> Iterator[Any]:
    """Yield the tensors of a tree."""
    if isinstance(tree, tuple | list):
        for child in tree:
            yield from leaves(child)
    else:
        yield tree


def _collect(tree: Tree, example: Tree, tensors: list[Any]) -> bool:
    """Append the tensors of a tree; return whether it has the structure of the example."""
    if isinstance(example, tuple | list):
        return (
            isinstance(tree, tuple | list)
            and len(tree) == len(example)
            and all(_collect(*pair, tensors) for pair in zip(tree, example, strict=True))
        )
    tensors.append(tree)
    return isinstance(tree, torch.Tensor)


def _structure(tree: Tree) -> str:
    if isinstance(tree, tuple | list):
        return "(" + ", ".join(_structure(child) for child in tree) + ")"
    return "tensor" if isinstance(tree, torch.Tensor) else type(tree).__name__


def _description(tensor: Any) -> str:
    return f"{tensor.dtype} of shape {tuple(tensor.shape)} on {tensor.device}"
