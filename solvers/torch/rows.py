"""The rows of inputs and targets in one leaf, and the sequences of a padded batch that are alive.

The final state of a sequence is that after its own last step, and its losses are not counted after
it. Padding, and the state of an ended sequence, never enter a step: zero times the infinite slope
of a norm or a logarithm at zero would spoil the gradient. In their place the step takes state and
row of a sequence that is alive at the start of the leaf, as they are there, so that only what is
computed anyway is computed again.
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
        if alive is not None:
            self.example = int(alive[0].long().argmax())
            """A sequence that is alive at the start."""
            self.inputs = [self._without_padding(rows) for rows in inputs]

    def steps(self) -> list[Any]:
        """Return the inputs of each step: a tensor, a tuple of them, or None."""
        if not self.inputs:
            return [None] * self.num_steps
        if len(self.inputs) == 1:
            return list(self.inputs[0].unbind(0))
        return list(zip(*(rows.unbind(0) for rows in self.inputs), strict=True))

    def _without_padding(self, rows: Any) -> Any:
        """Replace rows of ended sequences by the first row of one that is alive there."""
        if rows.dim() < 2 or rows.shape[1] != self.alive.shape[1]:
            return rows
        alive = self.alive.reshape(*self.alive.shape, *(1,) * (rows.dim() - 2))
        return torch.where(alive, rows, rows[0, self.example].detach())

    def __str__(self) -> str:
        return f"the steps [{self.start}, {self.stop})"


class Padding:
    """Keeps sequences that have ended out of the steps of a leaf.

    Parameters
    ----------
    first
        The tensors of the first state.
    data
        The leaf's rows; not all sequences are alive at all steps.
    form
        Form of the state.
    """

    def __init__(self, first: list[Any], data: LeafData, form: StateForm) -> None:
        self.ends = first
        """Each sequence's state at its end, or at the end of the leaf."""
        self._form = form
        self._start = data.start
        self._alive = list(data.alive)
        self._all_alive = data.alive.all(1).tolist()
        same = (data.alive[1:] == data.alive[:-1]).all(1)
        self._some_end = [*(~same).tolist(), True]
        example = slice(data.example, data.example + 1)
        self._example = [tensor[example].detach().clone() for tensor in first]

    def before(self, step: int, tensors: list[Any], state: Tree) -> Tree:
        """Return the state that a step is given, from that after the last one."""
        index = step - self._start
        if self._all_alive[index]:
            return state
        return self._form.join(_where(self._alive[index], tensors, self._example))

    def after(self, step: int, tensors: list[Any]) -> None:
        """Take note of the state after a step."""
        index = step - self._start
        if self._some_end[index]:
            self.ends = _where(self._alive[index], tensors, self.ends)


def _where(alive: Any, tensors: list[Any], others: list[Any]) -> list[Any]:
    return [
        torch.where(alive.reshape(-1, *(1,) * (t.dim() - 1)), t, o)
        for t, o in zip(tensors, others, strict=True)
    ]
