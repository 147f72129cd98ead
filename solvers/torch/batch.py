"""What one evaluation of a PyTorch model is given: data, lengths, and the state to begin with."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# PyTorch is not in the environment of the type checker.

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from adjoint.errors import ArgumentError
from solvers.sequences import Lengths, Rows
from solvers.torch.trees import StateForm, Tree, is_differentiable, leaves, tensor_of
from solvers.torch.unroll import LeafData

__all__ = ["Batch"]


class Batch:
    """Sequences side by side, and their initial state. Nothing as long as they are is kept.

    Parameters
    ----------
    num_steps
        Steps of the run: those of the longest sequence of all ranks.
    own_steps
        Steps of this rank's longest sequence; None is as many as the inputs have rows.
    inputs
        A `solvers.sequences.RowSource`, a tuple of several, or None.
    targets
        The same, but one, or None.
    state
        Of the first step; see `refresh`.
    lengths
        Steps of each sequence; None is the same for all.
    batch_axis
        Of the state's tensors.

    Raises
    ------
    ArgumentError
        Too few rows, lengths that do not fit, tensors that cannot be differentiated.
    """

    def __init__(
        self,
        num_steps: int,
        own_steps: int | None,
        *,
        inputs: Any,
        targets: Any,
        state: Tree,
        lengths: ArrayLike | None,
        batch_axis: int,
    ) -> None:
        self.num_steps = num_steps
        self.state = state
        sources = _sources(inputs)
        self._inputs = [Rows(source, "inputs") for source in sources]
        self._targets: Rows | None = None if targets is None else Rows(targets, "targets")
        self._own = own_steps if own_steps is not None else num_rows(inputs)
        form = StateForm(state)
        tensors = form.split(state, 0)
        self._lengths = self._checked(lengths, tensors, batch_axis)
        self.end = self._own if self._lengths is None else self._lengths.longest
        """The steps from here on leave the state as it is: all sequences have ended."""
        self._require_rows()
        self.initial = [tensor.detach().contiguous() for tensor in tensors]
        """The initial state; as controls, parts of it may be written."""
        self.given = {f"state.{i}": t for i, t in enumerate(tensors) if t.requires_grad}
        """The tensors that the initial state was given as, where they require a gradient."""
        self.input_tensors = self._with_gradient(sources)
        """Inputs that require a gradient."""
        if getattr(targets, "requires_grad", False):
            raise ArgumentError("targets require a gradient: make them inputs, or detach them")

    @property
    def initial_controls(self) -> dict[str, int]:
        """Which tensors of the initial state the gradient is with respect to."""
        return {name: _index(name) for name in self.given}

    @property
    def controls(self) -> dict[str, Any]:
        """What of the batch the gradient is with respect to."""
        initial = {name: self.initial[index] for name, index in self.initial_controls.items()}
        return initial | self.input_tensors

    def refresh(self) -> None:
        """Take the initial state's present values, which an optimiser may have changed.

        Tensors that are not contiguous (expanded ones, say) have been copied.
        """
        for kept, tensor in zip(self.initial, leaves(self.state), strict=True):
            if kept.data_ptr() != tensor.data_ptr():
                kept.copy_(tensor.detach())

    def check_like(self, form: StateForm) -> None:
        """Raise `ArgumentError` unless the batch fits a run of such states."""
        try:
            form.split(self.state, 0)
        except TypeError:
            raise ArgumentError(
                "the initial state has another structure, shape or dtype than the one that the "
                "sequence was made with: make another TorchSequence for another batch size"
            ) from None

    def read(self, start: int, stop: int) -> LeafData | None:
        """Return the rows of a leaf's steps, as far as there are any; None where there are not."""
        stop = min(stop, self.end)
        if stop <= start:
            return None
        tensors = [tensor_of(rows.read(start, stop)) for rows in self._inputs]
        leaves: dict[str, Any] = {}
        for name in self.input_tensors:
            leaves[name] = tensors[_index(name)].requires_grad_()
        targets = None if self._targets is None else tensor_of(self._targets.read(start, stop))
        ragged = self._lengths is not None
        alive = None
        if self._lengths is not None and stop > self._lengths.shortest:
            alive = torch.from_numpy(self._lengths.alive(start, stop))
        return LeafData(start, stop, tensors, targets, leaves=leaves, batched=ragged, alive=alive)

    # -- inside -------------------------------------------------------------------------------

    def _checked(
        self, lengths: ArrayLike | None, tensors: Sequence[Any], axis: int
    ) -> Lengths | None:
        if lengths is None:
            return None
        sizes: set[int] = {t.shape[axis] if t.dim() > axis else -1 for t in tensors}
        if len(sizes) > 1 or -1 in sizes:
            raise ArgumentError(
                f"with lengths, axis {axis} of every tensor of the state is that of the "
                f"sequences; here they are {[tuple(t.shape) for t in tensors]}"
            )
        found = Lengths.of(np.asarray(lengths), sizes.pop())
        found.check_end(self._own)
        return found

    def _require_rows(self) -> None:
        if self._own > self.num_steps:
            raise ArgumentError(
                f"the sequences have {self._own} steps, but only {self.num_steps} are taken: make "
                "another TorchSequence for longer ones"
            )
        for rows in [*self._inputs, *([] if self._targets is None else [self._targets])]:
            if rows.num_rows is not None and rows.num_rows < self.end:
                raise ArgumentError(
                    f"{rows.name} has {rows.num_rows} rows, the sequences have {self.end} steps: "
                    f"there is none for step {rows.num_rows}"
                )

    def _with_gradient(self, sources: Sequence[Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for index, source in enumerate(sources):
            if isinstance(source, torch.Tensor) and source.requires_grad:
                if not source.is_leaf or not is_differentiable(source):
                    raise ArgumentError(
                        "the inputs are the result of a computation that requires a gradient: do "
                        "that in the cell, step by step, or detach them"
                    )
                found[f"inputs.{index}"] = source
        return found


def num_rows(inputs: Any) -> int:
    """Return how many rows the inputs have.

    Raises
    ------
    ArgumentError
        Only a function knows.
    """
    counts = [len(source) for source in _sources(inputs) if getattr(source, "shape", ())]
    if not counts:
        raise ArgumentError("num_steps must be given where the inputs do not tell it")
    return min(counts)


def _sources(inputs: Any) -> list[Any]:
    if inputs is None:
        return []
    return list(inputs) if isinstance(inputs, tuple | list) else [inputs]


def _index(name: str) -> int:
    return int(name.rpartition(".")[2])
