"""Runs a PyTorch model over the steps of one leaf, and computes its losses.

There are three kinds of model, all used through `Unroll`:

`FusedUnroll`
    ``nn.LSTM``, ``nn.GRU``, ``nn.RNN``: one call for all the steps of a leaf.
`CellUnroll`
    A module or function ``cell(inputs, state)`` called step by step, as ``nn.LSTMCell`` is. It
    returns the new state, whose first tensor is then the output, or ``(output, state)``.
`FunctionUnroll`
    A function ``(state, inputs, step) -> (state, loss)``.

The first two have a separate loss of outputs and targets, which is called once per leaf with all of
its rows (`RowLoss`): a read-out layer over 64 steps is then one matrix product instead of 64 small
ones, and a replay that needs no losses does not compute them.

A fused module gets the sequences of a padded batch as a packed sequence; `solvers.torch.rows` keeps
padding out of the steps of the others.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# PyTorch is not in the environment of the type checker.

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from adjoint.errors import ArgumentError, StepperError
from solvers.torch.losses import RowLoss
from solvers.torch.rows import LeafData, Padding
from solvers.torch.trees import StateForm, Tree

__all__ = ["CellUnroll", "FunctionUnroll", "FusedUnroll", "Unroll"]

Check = Callable[[int, int], None]
"""Called with the range of steps just taken; raises if they wrote a buffer of a module."""


class Unroll(Protocol):
    """A model that can be run over several steps."""

    def run(
        self, state: Tree, data: LeafData, form: StateForm, check: Check
    ) -> tuple[list[Any], Any]:
        """Return the tensors of the state after the steps, and the outputs for `losses`."""
        ...

    def losses(self, outputs: Any, data: LeafData) -> Any:
        """Return one loss per step in float64, from the outputs of `run`; None without losses."""
        ...

    def compare_groupings(self, outputs: Any, data: LeafData) -> None:
        """Raise `StepperError` if losses depend on the steps whose rows are grouped together."""
        ...


class _StepUnroll(ABC):
    """A model called step by step."""

    def run(
        self, state: Tree, data: LeafData, form: StateForm, check: Check
    ) -> tuple[list[Any], Any]:
        """Take the steps one by one."""
        outputs: list[Any] = []
        tensors = form.split(state, data.start)
        padding = None if data.alive is None else Padding(tensors, data, form)
        for step, inputs in enumerate(data.steps(), data.start):
            given = state if padding is None else padding.before(step, tensors, state)
            output, state = self._step(given, inputs, step, form)
            tensors = form.split(state, step + 1)
            check(step, step + 1)
            outputs.append(self._kept(output, tensors, step))
            if padding is not None:
                padding.after(step, tensors)
        return tensors if padding is None else padding.ends, outputs

    @abstractmethod
    def _step(self, state: Tree, inputs: Any, step: int, form: StateForm) -> tuple[Any, Tree]:
        """Return the output of a step, and the state after it."""

    @abstractmethod
    def _kept(self, output: Any, tensors: list[Any], step: int) -> Any:
        """Return what `losses` needs of a step, whose state after it has these tensors."""


class CellUnroll(_StepUnroll):
    """A cell called step by step like those of torch, ``cell(inputs, state)``."""

    def __init__(self, cell: Callable[..., Any], loss: RowLoss | None) -> None:
        self._cell = cell
        self._loss = loss

    def _step(self, state: Tree, inputs: Any, step: int, form: StateForm) -> tuple[Any, Tree]:
        del step
        return _output_and_state(self._cell(inputs, state), form)

    def _kept(self, output: Any, tensors: list[Any], step: int) -> Any:
        if self._loss is None:
            return None
        return _output(tensors[0] if output is None else output, step)

    def losses(self, outputs: Any, data: LeafData) -> Any:
        """Return the losses of the outputs."""
        return None if self._loss is None else self._loss(torch.stack(outputs), data)

    def compare_groupings(self, outputs: Any, data: LeafData) -> None:
        """Raise `StepperError` if the loss of a row depends on other rows."""
        if self._loss is not None:
            self._loss.compare_groupings(torch.stack(outputs), data)


class FunctionUnroll(_StepUnroll):
    """A function ``(state, inputs, step) -> (state, loss)``.

    The loss is None or a tensor, whose sum counts. With sequences of unequal length it has
    one entry per sequence.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def _step(self, state: Tree, inputs: Any, step: int, form: StateForm) -> tuple[Any, Tree]:
        del form
        returned = self._function(state, inputs, step)
        if not isinstance(returned, tuple | list) or len(returned) != 2:
            raise StepperError(
                f"step {step} returned {type(returned).__name__}: without loss=, the cell "
                "returns (state, loss)"
            )
        state, loss = returned
        return loss, state

    def _kept(self, output: Any, tensors: list[Any], step: int) -> Any:
        del tensors, step
        return output

    def losses(self, outputs: Any, data: LeafData) -> Any:
        """Return the sum of each step's losses, which `run` returned."""
        sums = [self._sum(loss, index, data) for index, loss in enumerate(outputs)]
        return torch.stack(sums).to(torch.float64) if sums else None

    def compare_groupings(self, outputs: Any, data: LeafData) -> None:
        """Do nothing: every step has a loss of its own."""

    def _sum(self, loss: Any, index: int, data: LeafData) -> Any:
        if loss is None:
            return torch.zeros((), dtype=torch.float64)
        if not isinstance(loss, torch.Tensor):
            raise StepperError(
                f"the loss of step {data.start + index} is of type {type(loss).__name__}: "
                "return a tensor or None"
            )
        if data.alive is not None:
            alive = data.alive[index]
            if loss.dim() == 0 or len(loss) != len(alive):
                raise StepperError(
                    f"the loss of step {data.start + index} has shape {tuple(loss.shape)}: with "
                    f"lengths, return one loss for each of {len(alive)} sequences, not reduced"
                )
            loss = loss[alive]
        return loss.sum() if loss.dim() else loss


class FusedUnroll:
    """``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``: one call for all the steps of a leaf."""

    def __init__(self, module: Any, loss: RowLoss | None) -> None:
        if module.bidirectional:
            raise ArgumentError(
                f"{module} is bidirectional: its second direction starts at the end of the "
                "sequence, so it cannot be run step by step"
            )
        self._module = module
        self._loss = loss

    def run(
        self, state: Tree, data: LeafData, form: StateForm, check: Check
    ) -> tuple[list[Any], Any]:
        """Take all steps in one call."""
        (rows,) = data.inputs
        if data.alive is not None:
            outputs, tensors = self._run_packed(state, rows, data.alive, form, data)
        elif self._module.batch_first and rows.dim() == 3:
            outputs, state = self._module(rows.transpose(0, 1), state)
            outputs, tensors = outputs.transpose(0, 1), form.split(state, data.stop)
        else:
            outputs, state = self._module(rows, state)
            tensors = form.split(state, data.stop)
        check(data.start, data.stop)
        return tensors, outputs

    def losses(self, outputs: Any, data: LeafData) -> Any:
        """Return the losses of the outputs."""
        return None if self._loss is None else self._loss(outputs, data)

    def compare_groupings(self, outputs: Any, data: LeafData) -> None:
        """Raise `StepperError` if the loss of a row depends on other rows."""
        if self._loss is not None:
            self._loss.compare_groupings(outputs, data)

    def _run_packed(
        self, state: Tree, rows: Any, alive: Any, form: StateForm, data: LeafData
    ) -> tuple[Any, list[Any]]:
        lengths = alive.sum(0)
        live = lengths.nonzero().flatten()
        old = form.split(state, data.start)
        packed = pack_padded_sequence(rows[:, live], lengths[live], enforce_sorted=False)
        returned, ended = self._module(packed, form.join([t.index_select(1, live) for t in old]))
        outputs, _ = pad_packed_sequence(returned, total_length=len(rows))
        whole = outputs.new_zeros((len(rows), len(lengths), *outputs.shape[2:]))
        new = StateForm(ended).split(ended, data.stop)
        merged = [t.index_copy(1, live, n) for t, n in zip(old, new, strict=True)]
        return whole.index_copy(1, live, outputs), form.split(form.join(merged), data.stop)


def _output_and_state(returned: Any, form: StateForm) -> tuple[Any, Tree]:
    """Return output and new state of a cell; the output is None if it returned only the state."""
    if isinstance(returned, tuple | list) and len(returned) == 2 and not form.matches(returned):
        output, state = returned
        return output, state
    return None, returned


def _output(output: Any, step: int) -> Any:
    if isinstance(output, torch.Tensor):
        return output
    raise StepperError(
        f"the output of step {step} is of type {type(output).__name__}: with loss= it must be a "
        "tensor. A cell (state, inputs, step) -> (state, loss) may have outputs of any type"
    )
