"""States of a PyTorch model: nested tuples of tensors, and NumPy arrays that share their memory.

A state is a tensor, or a tuple or list of states: ``h``, ``(h, c)``, ``((h1, c1), (h2, c2))``. What
a cell returns must be of the same structure, and each tensor must keep its shape, dtype and
device: the driver keeps states as runs of bytes of one size, and a gradient that went through a
silent conversion would be that of another model.

The driver speaks NumPy, and a tensor on the CPU can be seen as an array without a copy. A bfloat16
tensor can not, because NumPy has no such type: it is seen as the 16-bit integers that it is made
of. That is enough to keep a state, and nothing else is done with it.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# PyTorch is not in the environment of the type checker.

from collections.abc import Callable, Iterator
from typing import Any

import torch
from numpy.typing import NDArray

from adjoint.errors import ArgumentError, StepperError

__all__ = ["StateForm", "Tree", "array_of", "is_differentiable", "leaves", "tensor_of"]

Tree = Any
"""A tensor, or a tuple or list of trees."""


class StateForm:
    """The structure of a state, and what each of its tensors is like.

    Parameters
    ----------
    state
        An example.

    Raises
    ------
    ArgumentError
        It holds something that is not a tensor on the CPU, or nothing at all.
    """

    def __init__(self, state: Tree) -> None:
        self._example = _map(_empty, state)
        self.tensors: tuple[Any, ...] = tuple(leaves(self._example))
        """Like the tensors of a state, without their memory."""
        if not self.tensors:
            raise ArgumentError("the state is empty: give a tensor, or a tuple of tensors")
        self._likes = [(like.dtype, like.shape) for like in self.tensors]
        flat = isinstance(self._example, tuple | list)
        flat = flat and all(isinstance(child, torch.Tensor) for child in self._example)
        self._flat = len(self.tensors) if flat else 0
        """How many tensors a state is a mere tuple of; 0 if it is anything else."""

    def split(self, state: Tree, step: int) -> list[Any]:
        """Return the tensors of the state before `step`, after checking them.

        Raises
        ------
        StepperError
            The structure, a shape, a dtype or a device is another one. The message names the step
            that returned it.
        """
        found = self._collected(state)
        if found is None:
            raise StepperError(
                f"step {step - 1} returned a state of structure {_described(state)}: it must be "
                f"{_described(self._example)}, as the initial state is"
            )
        for index, (tensor, (dtype, shape)) in enumerate(zip(found, self._likes, strict=True)):
            if tensor.dtype is not dtype or tensor.shape != shape or not tensor.is_cpu:
                raise StepperError(
                    f"tensor {index} of the state became {_told(tensor)} in step {step - 1}; "
                    f"before, it was {_told(self.tensors[index])}. A state keeps shape, dtype and "
                    "device: give an initial state that is like the later ones"
                )
        return found

    def join(self, tensors: list[Any]) -> Tree:
        """Return a state made of these tensors."""
        remaining = iter(tensors)
        return _map(lambda _: next(remaining), self._example)

    def matches(self, tree: Tree) -> bool:
        """Return whether a tree has the structure of a state."""
        return self._collected(tree) is not None

    def _collected(self, tree: Tree) -> list[Any] | None:
        """Return the tensors of a tree; None if its structure is not that of a state."""
        if self._flat and isinstance(tree, tuple | list):  # the way of every step of an LSTM
            found = list(tree)
            if len(found) == self._flat and set(map(type, found)) == {torch.Tensor}:
                return found
        found = list[Any]()
        return found if _collect(tree, self._example, found) else None


def tensor_of(rows: Any) -> Any:
    """Return rows of data as a tensor, without a copy where that is possible."""
    if isinstance(rows, torch.Tensor):
        return rows.detach()
    if not rows.flags.writeable or any(stride < 0 for stride in rows.strides):
        rows = rows.copy()
    return torch.from_numpy(rows)


def array_of(tensor: Any) -> NDArray[Any]:
    """Return an array that shares the memory of a tensor on the CPU."""
    tensor = tensor.detach()
    if tensor.dtype is torch.bfloat16:
        tensor = tensor.view(torch.int16)
    return tensor.numpy()


def is_differentiable(tensor: Any) -> bool:
    """Return whether a tensor of this type can have a gradient."""
    return tensor.is_floating_point() or tensor.is_complex()


def _empty(tensor: Any) -> Any:
    if not isinstance(tensor, torch.Tensor):
        raise ArgumentError(
            f"the state holds {tensor!r}: it must be a tensor, or a tuple or list of states"
        )
    if tensor.device.type != "cpu" or tensor.layout is not torch.strided:
        raise ArgumentError(
            f"the state holds a tensor on {tensor.device}, {tensor.layout}: only dense tensors on "
            "the CPU can be kept; move model and state there with .cpu()"
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


def _collect(tree: Tree, example: Tree, found: list[Any]) -> bool:
    """Add the tensors of a tree to `found`; return whether it has the structure of the example."""
    if isinstance(example, tuple | list):
        return (
            isinstance(tree, tuple | list)
            and len(tree) == len(example)
            and all(_collect(*pair, found) for pair in zip(tree, example, strict=True))
        )
    found.append(tree)
    return isinstance(tree, torch.Tensor)


def _described(tree: Tree) -> str:
    if isinstance(tree, tuple | list):
        return "(" + ", ".join(_described(child) for child in tree) + ")"
    return "tensor" if isinstance(tree, torch.Tensor) else type(tree).__name__


def _told(tensor: Any) -> str:
    return f"{tensor.dtype} of shape {tuple(tensor.shape)} on {tensor.device}"
