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
ones, and a replay that needs no losses does not compute them. It returns one loss per row, not
reduced, so that the losses do not depend on the size of leaves.

*Unequal lengths.* After its end a sequence's state stays unchanged and its losses are not counted.
A fused module gets a packed sequence. Step by step, old and new states are merged by
``torch.where``. Padding is replaced by zeros before that, because zero times infinity would spoil
the gradient. Rows of ended sequences are not passed to the loss.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# PyTorch is not in the environment of the type checker.

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from adjoint.errors import ArgumentError, StepperError
from solvers.torch.trees import StateForm, Tree

__all__ = ["CellUnroll", "FunctionUnroll", "FusedUnroll", "RowLoss", "Unroll"]

Check = Callable[[int, int], None]
"""Called with the range of steps just taken; raises if they wrote a buffer of a module."""


class Unroll(Protocol):
    """A model that can be run over several steps."""

    def run(
        self, state: Tree, data: "LeafData", form: StateForm, check: Check
    ) -> tuple[list[Any], Any]:
        """Return the tensors of the state after the steps, and the outputs for `losses`."""
        ...

    def losses(self, outputs: Any, data: "LeafData") -> Any:
        """Return one loss per step in float64, from the outputs of `run`; None without losses."""
        ...


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
        self.inputs = [rows if alive is None else _without_padding(rows, alive) for rows in inputs]

    def steps(self) -> list[Any]:
        """Return the inputs of each step: a tensor, a tuple of them, or None."""
        if not self.inputs:
            return [None] * self.num_steps
        if len(self.inputs) == 1:
            return list(self.inputs[0].unbind(0))
        return list(zip(*(rows.unbind(0) for rows in self.inputs), strict=True))

    def __str__(self) -> str:
        return f"the steps [{self.start}, {self.stop})"


class RowLoss:
    """A loss of rows of outputs: one loss per row.

    Parameters
    ----------
    function
        ``(outputs, targets) -> losses``, or ``outputs -> losses`` without targets. The first axis
        of each is the row: one sequence at one step. Further axes of the losses are summed.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, outputs: Any, data: LeafData) -> Any:
        """Return one loss per step of the leaf, in float64."""
        batched = data.batched or outputs.dim() >= 3
        given = [outputs] if data.targets is None else [outputs, data.targets]
        if batched:
            if min(rows.dim() for rows in given) < 2:
                raise StepperError(
                    f"outputs have shape {tuple(outputs.shape)} and targets "
                    f"{tuple(given[-1].shape)}: give a target for each sequence at each step"
                )
            given = [rows.flatten(0, 1) for rows in given]
        if data.alive is not None:
            flat = data.alive.flatten()
            given = [rows[flat] for rows in given]
        losses = self._function(*given)
        num_rows = len(given[0])
        if not isinstance(losses, torch.Tensor) or losses.dim() == 0 or len(losses) != num_rows:
            is_tensor = isinstance(losses, torch.Tensor)
            form = f"shape {tuple(losses.shape)}" if is_tensor else f"type {type(losses).__name__}"
            raise StepperError(
                f"the loss over {data} has {form}: return one loss for each of {num_rows} rows, "
                'not reduced (criteria of torch.nn take reduction="none")'
            )
        sums = losses.reshape(num_rows, -1).sum(1, dtype=torch.float64)
        if data.alive is None:
            return sums.reshape(data.num_steps, -1).sum(1)
        step_of_row = torch.arange(data.num_steps).repeat_interleave(data.alive.sum(1))
        zeros = torch.zeros(data.num_steps, dtype=torch.float64)
        return zeros.index_add(0, step_of_row, sums)


class CellUnroll:
    """A cell called step by step like those of torch, ``cell(inputs, state)``."""

    def __init__(self, cell: Callable[..., Any], loss: RowLoss | None) -> None:
        self._cell = cell
        self._loss = loss

    def run(
        self, state: Tree, data: LeafData, form: StateForm, check: Check
    ) -> tuple[list[Any], Any]:
        """Take the steps one by one."""
        outputs: list[Any] = []
        tensors = form.split(state, data.start)
        for step, inputs in enumerate(data.steps(), data.start):
            returned = self._cell(inputs, state)
            output, state = _output_and_state(returned, form)
            new = form.split(state, step + 1)
            check(step, step + 1)
            if self._loss is not None:
                outputs.append(_output(new[0] if output is None else output, step))
            tensors, state = _carried(tensors, new, state, form, data, step)
        return tensors, outputs

    def losses(self, outputs: Any, data: LeafData) -> Any:
        """Return the losses of the outputs."""
        return None if self._loss is None else self._loss(torch.stack(outputs), data)


class FunctionUnroll:
    """A function ``(state, inputs, step) -> (state, loss)``.

    The loss is None or a tensor, of which the sum counts. With sequences of unequal length it has
    one entry per sequence.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def run(
        self, state: Tree, data: LeafData, form: StateForm, check: Check
    ) -> tuple[list[Any], Any]:
        """Take the steps one by one."""
        losses: list[Any] = []
        tensors = form.split(state, data.start)
        for step, inputs in enumerate(data.steps(), data.start):
            returned = self._function(state, inputs, step)
            if not isinstance(returned, tuple | list) or len(returned) != 2:
                raise StepperError(
                    f"step {step} returned {type(returned).__name__}: without loss=, the cell "
                    "returns (state, loss)"
                )
            state, loss = returned
            new = form.split(state, step + 1)
            check(step, step + 1)
            losses.append(loss)
            tensors, state = _carried(tensors, new, state, form, data, step)
        return tensors, losses

    def losses(self, outputs: Any, data: LeafData) -> Any:
        """Return the sum of each step's losses, which `run` returned."""
        sums = [self._sum(loss, index, data) for index, loss in enumerate(outputs)]
        return torch.stack(sums).to(torch.float64) if sums else None

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


def _carried(
    old: list[Any], new: list[Any], state: Tree, form: StateForm, data: LeafData, step: int
) -> tuple[list[Any], Tree]:
    """Return the new state, except for sequences that have ended, which keep the old one."""
    if data.alive is None:
        return new, state
    alive = data.alive[step - data.start]
    merged = [
        torch.where(alive.reshape(-1, *(1,) * (n.dim() - 1)), n, o)
        for n, o in zip(new, old, strict=True)
    ]
    return merged, form.join(merged)


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


def _without_padding(rows: Any, alive: Any) -> Any:
    if rows.dim() < 2 or rows.shape[1] != alive.shape[1]:
        return rows
    return rows.masked_fill(~alive.reshape(*alive.shape, *(1,) * (rows.dim() - 2)), 0)
