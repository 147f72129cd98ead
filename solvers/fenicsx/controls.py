"""The controls of a step: Functions and Constants, as arrays in their own memory."""

from collections.abc import Callable, Mapping
from typing import Any

from adjoint.errors import ArgumentError
from adjoint.steppers import aligned_zeros
from solvers.fenicsx.dofs import Array, load, owned

__all__ = ["Controls"]


class Controls:
    """The controls by name, their gradients, and the data that belong to a step.

    Parameters
    ----------
    holders
        A Function or a Constant for each name.
    rows
        For names of which each step has its own values: an array with a row for each step.
    before_step
        Sets what else depends on the step, or None.
    """

    def __init__(
        self,
        holders: Mapping[str, Any],
        rows: Mapping[str, Array],
        before_step: Callable[[int], object] | None,
    ) -> None:
        self.holders, self.rows = dict(holders), dict(rows)
        self.before_step = before_step
        self.arrays = {
            name: self.rows[name] if name in self.rows else owned(holder)
            for name, holder in self.holders.items()
        }
        self.gradient = {name: aligned_zeros(a.shape) for name, a in self.arrays.items()}
        self.distributed = tuple(n for n, holder in self.holders.items() if hasattr(holder, "x"))
        self.depend_on_step = bool(self.rows) or before_step is not None
        """Whether `load` has anything to do."""

    def begin(self) -> None:
        """Take the controls as they are, and set the gradients to zero. Collective."""
        for name in self.distributed:
            if name not in self.rows:
                self.holders[name].x.scatter_forward()
        for array in self.gradient.values():
            array[...] = 0

    def load(self, k: int) -> None:
        """Load what belongs to step `k`. Collective.

        Raises
        ------
        ArgumentError
            A control has no row for it.
        """
        for name, rows in self.rows.items():
            if k >= len(rows):
                raise ArgumentError(
                    f"per_step[{name!r}] has {len(rows)} rows: there is none for step {k}"
                )
            if name in self.distributed:
                load(self.holders[name], rows[k])
            else:
                self.holders[name].value[...] = rows[k]
        if self.before_step is not None:
            self.before_step(k)

    def gradient_of(self, k: int) -> Mapping[str, Array]:
        """Return the gradients as they are in step `k`: of rows, its own, set to zero."""
        found = dict(self.gradient)
        for name in self.rows:
            found[name] = self.gradient[name][k, ...]
            found[name][...] = 0
        return found

    def is_fixed(self, holder: Any) -> bool:
        """Return whether a Function or a Constant is known to stay the same in all steps."""
        names = [name for name, each in self.holders.items() if each is holder]
        return not any(name in self.rows for name in names) and bool(
            names or self.before_step is None
        )
