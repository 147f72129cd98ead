"""The arguments of one evaluation of a PyTorch model: data, lengths and the initial state."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# PyTorch is not in the environment of the type checker.

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from adjoint.errors import ArgumentError
from solvers.sequences import Lengths, Rows
from solvers.torch.rows import LeafData
from solvers.torch.trees import StateForm, Tree, array_of, is_differentiable, leaves, tensor_of

__all__ = ["Batch"]


class Batch:
    """A batch of sequences and their initial state. Rows are read on demand and not kept.

    Parameters
    ----------
    num_steps
        Steps of the run: those of the longest sequence of all ranks.
    own_steps
        Steps of this rank's longest sequence; None means the number of rows of the inputs.
    inputs
        A `solvers.sequences.RowSource`, a tuple of several, or None.
    targets
        A `solvers.sequences.RowSource`, or None.
    state
        The initial state; see `refresh`.
    lengths
        Steps of each sequence; None means that all are equally long.
    batch_axis
        Axis of the state's tensors that counts sequences.

    Raises
    ------
    ArgumentError
        There are too few rows, lengths are inconsistent, or a tensor cannot be differentiated.
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
        """From this step on all sequences have ended, and steps leave the state unchanged."""
        self._require_rows()
        self.initial = [tensor.detach().contiguous() for tensor in tensors]
        """The initial state; tensors of it that are controls may be written."""
        self.given = {f"state.{i}": t for i, t in enumerate(tensors) if t.requires_grad}
        """The caller's tensors of the initial state that require a gradient, by name."""
        self.input_tensors = self._with_gradient(sources)
        """Inputs that require a gradient, by name."""
        if getattr(targets, "requires_grad", False):
            raise ArgumentError("targets require a gradient: pass them as inputs, or detach them")

    @property
    def initial_controls(self) -> dict[str, int]:
        """Indices of the tensors of the initial state that are controls, by name."""
        return {name: _index(name) for name in self.given}

    @property
    def controls(self) -> dict[str, Any]:
        """Tensors of the batch that are controls, by name."""
        initial = {name: self.initial[index] for name, index in self.initial_controls.items()}
        return initial | self.input_tensors

    def refresh(self) -> None:
        """Copy the initial state again where `initial` is a copy: an optimiser may have changed it.

        Tensors that are not contiguous, such as expanded ones, were copied.
        """
        for kept, tensor in zip(self.initial, leaves(self.state), strict=True):
            if kept.data_ptr() != tensor.data_ptr():
                kept.copy_(tensor.detach())

    def check_form(self, form: StateForm) -> None:
        """Raise `ArgumentError` unless the initial state has the given form."""
        try:
            form.split(self.state, 0)
        except TypeError:
            raise ArgumentError(
                "structure, shapes or dtypes of the initial state differ from those that the "
                "sequence was constructed with: use another TorchSequence for another batch size"
            ) from None

    def read(self, start: int, stop: int) -> LeafData | None:
        """Return the rows of a leaf's steps, up to the end of the sequences; None after it."""
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

    def data(self) -> dict[str, Any]:
        """Return inputs, targets and lengths by name, as arrays; None in place of a function."""
        rows = {f"inputs.{index}": rows for index, rows in enumerate(self._inputs)}
        if self._targets is not None:
            rows["targets"] = self._targets
        data = {name: each.array for name, each in rows.items()}
        for name, source in data.items():
            if isinstance(source, torch.Tensor):
                data[name] = array_of(source.cpu())
        lengths = None if self._lengths is None else self._lengths.steps
        return {**data, "lengths": lengths}

    # -- checks -------------------------------------------------------------------------------

    def _checked(
        self, lengths: ArrayLike | None, tensors: Sequence[Any], axis: int
    ) -> Lengths | None:
        if lengths is None:
            return None
        sizes: set[int] = {t.shape[axis] if t.dim() > axis else -1 for t in tensors}
        if len(sizes) > 1 or -1 in sizes:
            raise ArgumentError(
                f"with lengths, axis {axis} of every tensor of the state must count the "
                f"sequences, but the shapes are {[tuple(t.shape) for t in tensors]}"
            )
        found = Lengths.of(np.asarray(lengths), sizes.pop())
        found.check_end(self._own)
        return found

    def _require_rows(self) -> None:
        if self._own > self.num_steps:
            raise ArgumentError(
                f"the sequences have {self._own} steps, but the run takes only {self.num_steps}: "
                "use another TorchSequence for longer ones"
            )
        for rows in [*self._inputs, *([] if self._targets is None else [self._targets])]:
            if rows.num_rows is not None and rows.num_rows < self.end:
                raise ArgumentError(
                    f"{rows.name} has {rows.num_rows} rows, but the sequences have {self.end} "
                    f"steps: there is none for step {rows.num_rows}"
                )

    def _with_gradient(self, sources: Sequence[Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for index, source in enumerate(sources):
            if isinstance(source, torch.Tensor) and source.requires_grad:
                if not source.is_leaf or not is_differentiable(source):
                    raise ArgumentError(
                        "the inputs are the result of a computation that requires a gradient: move "
                        "it into the cell, where it runs step by step, or detach them"
                    )
                found[f"inputs.{index}"] = source
        return found


def num_rows(inputs: Any) -> int:
    """Return the number of rows of the inputs.

    Raises
    ------
    ArgumentError
        All inputs are functions.
    """
    counts = [len(source) for source in _sources(inputs) if getattr(source, "shape", ())]
    if not counts:
        raise ArgumentError("give num_steps=: the inputs do not determine it")
    return min(counts)


def _sources(inputs: Any) -> list[Any]:
    if inputs is None:
        return []
    return list(inputs) if isinstance(inputs, tuple | list) else [inputs]


def _index(name: str) -> int:
    return int(name.rpartition(".")[2])
