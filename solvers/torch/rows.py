"""The rows of inputs and targets in one leaf, and the sequences of a padded batch that are alive.

After its end a sequence's state stays unchanged and its losses are not counted. Padding, and the
state of an ended sequence, never enter a step: zero times the infinite slope of a norm or a
logarithm at zero would spoil the gradient. In their place the step takes state and row of a
sequence that is alive at the start of the leaf, as they are there, so that only what is computed
anyway is computed again. Afterwards ``torch.where`` puts the old state back.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# PyTorch is not in the environment of the type checker.

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from solvers.torch.trees import StateForm, Tree

__all__ = ["LeafData", "Padding"]


class LeafData:
    """The rows of the steps of a leaf.

    Parameters
    ----------
    start, stop
        The steps.
    inputs
        Tensors whose first axis is the step; may be empty.
    targets
        A tensor whose first axis is the step, or None.
    leaves
        Inputs that have a gradient, by name.
    batched
        Whether sequences are known to be along the second axis of all rows.
    alive
        Mask of the sequences alive at each step, ``(steps, batch)``; None if all are.
    """

    def __init__(
        self,
        start: int,
        stop: int,
        inputs: Sequence[Any],
        targets: Any,
        *,
        leaves: Mapping[str, Any],
        batched: bool = False,
        alive: Any = None,
    ) -> None:
        self.start = start
        self.stop = stop
        self.num_steps = stop - start
        self.targets = targets
        self.leaves = leaves
        self.batched = batched
        self.alive = alive
        self.inputs = list(inputs)
        self._all_alive = [True] * self.num_steps
        self._example = 0
        if alive is not None:
            self._all_alive = alive.all(1).tolist()
            self._example = int(alive[0].long().argmax())
            self.inputs = [self._without_padding(rows) for rows in inputs]

    def steps(self) -> list[Any]:
        """Return the inputs of each step: a tensor, a tuple of them, or None."""
        if not self.inputs:
            return [None] * self.num_steps
        if len(self.inputs) == 1:
            return list(self.inputs[0].unbind(0))
        return list(zip(*(rows.unbind(0) for rows in self.inputs), strict=True))

    def alive_at(self, step: int) -> Any:
        """Return the mask of the sequences alive at a step; None if all are."""
        index = step - self.start
        return None if self._all_alive[index] else self.alive[index]

    def example_of(self, tensors: Sequence[Any]) -> list[Any]:
        """Return the state of a sequence alive at the start, given that of all; without a graph."""
        index = self._example
        return [tensor[index : index + 1].detach().clone() for tensor in tensors]

    def _without_padding(self, rows: Any) -> Any:
        """Replace rows of ended sequences by the first row of one that is alive there."""
        if rows.dim() < 2 or rows.shape[1] != self.alive.shape[1]:
            return rows
        alive = self.alive.reshape(*self.alive.shape, *(1,) * (rows.dim() - 2))
        return torch.where(alive, rows, rows[0, self._example].detach())

    def __str__(self) -> str:
        return f"the steps [{self.start}, {self.stop})"


class Padding:
    """Keeps sequences that have ended out of the steps of a leaf.

    Parameters
    ----------
    first
        The tensors of the first state.
    data
        The leaf's rows.
    form
        Form of the state.
    """

    def __init__(self, first: list[Any], data: LeafData, form: StateForm) -> None:
        self._data = data
        self._form = form
        self._example = [] if data.alive is None else data.example_of(first)

    def before(self, state: Tree, tensors: list[Any], step: int) -> Tree:
        """Return the state that a step is given."""
        alive = self._data.alive_at(step)
        return state if alive is None else self._form.join(_where(alive, tensors, self._example))

    def after(
        self, state: Tree, new: list[Any], old: list[Any], step: int
    ) -> tuple[list[Any], Tree]:
        """Return the state after a step: the old one of sequences that have ended."""
        alive = self._data.alive_at(step)
        if alive is None:
            return new, state
        merged = _where(alive, new, old)
        return merged, self._form.join(merged)


def _where(alive: Any, tensors: list[Any], others: list[Any]) -> list[Any]:
    return [
        torch.where(alive.reshape(-1, *(1,) * (t.dim() - 1)), t, o)
        for t, o in zip(tensors, others, strict=True)
    ]
