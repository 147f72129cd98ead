"""Losses of rows of outputs, of several steps at once.

A loss returns one number per row, not reduced, so that the sum does not depend on the leaves. One
that mixes rows would depend on them: `RowLoss.compare_groupings` refuses it.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# PyTorch is not in the environment of the type checker.

from collections.abc import Callable
from typing import Any

import torch

from adjoint.errors import StepperError
from solvers.torch.rows import LeafData

__all__ = ["RowLoss"]


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
        sums = self._sums(self._rows(outputs, data), data)
        if data.alive is None:
            return sums.reshape(data.num_steps, -1).sum(1)
        step_of_row = torch.arange(data.num_steps).repeat_interleave(data.alive.sum(1))
        zeros = torch.zeros(data.num_steps, dtype=torch.float64)
        return zeros.index_add(0, step_of_row, sums)

    def compare_groupings(self, outputs: Any, data: LeafData) -> None:
        """Raise `StepperError` if the loss of a row depends on the rows that it is grouped with.

        The rows of the first half of the steps are given once more with others beside them and,
        unless the loss draws random numbers, alone.
        """
        half = data.num_steps // 2
        rows = self._rows(outputs, data)
        count = int(data.alive[:half].sum()) if data.alive is not None else 0
        count = count if data.alive is not None else len(rows[0]) // data.num_steps * half
        if count in {0, len(rows[0])}:
            return
        generator = torch.get_rng_state()
        whole = self._sums(rows, data)[:count]
        is_random = not torch.equal(generator, torch.get_rng_state())
        index = torch.arange(len(rows[0]))
        index[count:] = 0
        torch.set_rng_state(generator)
        others = [self._sums([each[index] for each in rows], data)[:count]]
        if not is_random:
            others.append(self._sums([each[:count] for each in rows], data))
        round_off = torch.finfo(_precision(outputs)).eps ** 0.5 * whole.abs().max().item()
        if not all(torch.allclose(whole, o, 0, round_off, equal_nan=True) for o in others):
            raise StepperError(
                "the loss of a row changes with the rows that it is grouped with, so that the sum "
                "would depend on leaf_steps: return for each row a loss of this row alone, not "
                "divided by the number of rows. In place of batch normalisation without running "
                "statistics use layer normalisation"
            )

    def _rows(self, outputs: Any, data: LeafData) -> list[Any]:
        """Return outputs and targets of the sequences alive, one row each."""
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
            given = [rows[data.alive.flatten()] for rows in given]
        return given

    def _sums(self, rows: list[Any], data: LeafData) -> Any:
        """Return the loss of each row, in float64."""
        losses, num_rows = self._function(*rows), len(rows[0])
        if not isinstance(losses, torch.Tensor) or losses.dim() == 0 or len(losses) != num_rows:
            is_tensor = isinstance(losses, torch.Tensor)
            form = f"shape {tuple(losses.shape)}" if is_tensor else f"type {type(losses).__name__}"
            raise StepperError(
                f"the loss over {data} has {form}: return one loss for each of {num_rows} rows, "
                'not reduced (criteria of torch.nn take reduction="none")'
            )
        return losses.reshape(num_rows, -1).sum(1, dtype=torch.float64)


def _precision(outputs: Any) -> Any:
    """Return the dtype that losses of these outputs are computed in, or one less precise."""
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu")
    return outputs.dtype if outputs.is_floating_point() else torch.get_default_dtype()
