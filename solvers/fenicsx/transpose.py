"""The transpose of a solved equation: from the adjoint of the solution to levels and controls.

With ``w`` the adjoint of the solution ``u`` of ``F(u; u_i, m) = 0``, ``u = g``, and ``L = F[λ]``::

    A^T λ = w,  λ = 0 at constrained dofs
    u_i += -∂L/∂u_i + ∂r/∂u_i        m += -∂L/∂m + ∂r/∂m        g += w - ∂L/∂u

where ``r`` is a cost of the step, whose derivative by ``u`` is part of ``w`` already.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from solvers.fenicsx.dofs import Array, Summed
from solvers.fenicsx.equation import Equation
from solvers.fenicsx.operators import Sensitivity, sensitivity

__all__ = ["ByValue", "Transpose"]


class Transpose:
    """The transpose of an equation, and the derivative of a cost of the same Functions.

    Parameters
    ----------
    equation
        The equation.
    cost
        The cost ``r``, pinned, or None.
    controls
        The Functions and Constants to differentiate by.
    """

    def __init__(self, equation: Equation, cost: Any, controls: Mapping[str, Any]) -> None:
        self._equation = equation
        residual, multiplier, data = equation.residual, equation.multiplier, equation.data
        self._by_levels = [
            sensitivity(level, residual, cost, multiplier, data, matrix=matrix)
            for level, matrix in zip(equation.previous, equation.level_matrices, strict=True)
        ]
        found = {
            name: sensitivity(x, residual, cost, multiplier, data) for name, x in controls.items()
        }
        self._by_controls = {name: each for name, each in found.items() if each is not None}
        self._by_values = {
            name: ByValue(x, *equation.boundary.pairs(x))
            for name, x in controls.items()
            if equation.boundary.prescribed_by(x)
        }
        self._by_unknown: Sensitivity | None = None
        if self._by_values:
            self._by_unknown = sensitivity(
                equation.unknown, residual, None, multiplier, data, matrix=equation.lift()
            )
        self.controls = self._by_controls.keys() | self._by_values.keys()
        """Names of the controls that the equation or the cost depends on."""

    @property
    def uses(self) -> set[Any]:
        """The Functions and Constants that must be loaded."""
        parts = [*self._by_levels, *self._by_controls.values(), self._by_unknown]
        found = set[Any]().union(*(part.uses for part in parts if part is not None))
        if self._equation.matrix.uses_state:
            found |= set(self._equation.matrix.depends_on)
        return found

    def solve(self, w: Array, gradient: Mapping[str, Array], step: int | None) -> None:
        """Solve for the multiplier, and add the gradients by controls. Collective.

        Parameters
        ----------
        w
            The owned dofs of the adjoint of the solution; left as it is.
        gradient
            The gradients: of a Function the owned dofs, of a Constant this rank's part.
        step
            The number of the step, for errors.
        """
        self._equation.transpose(w, step)
        if self._by_unknown is not None:
            total = w.copy()
            self._by_unknown.add(total)
            for name, by_value in self._by_values.items():
                by_value.add(total, gradient[name])
        for name, part in self._by_controls.items():
            part.add(gradient[name])

    def add_to_level(self, place: int, out: Array) -> None:
        """Add the derivative by a level to its adjoint, after `solve`. Collective."""
        part = self._by_levels[place]
        if part is not None:
            part.add(out)


class ByValue:
    """By a Function or a Constant that is the value of a Dirichlet condition."""

    def __init__(self, value: Any, dofs: NDArray[np.intp], entries: NDArray[np.intp]) -> None:
        self._dofs, self._entries = dofs, entries
        self._sum = Summed(value.function_space) if hasattr(value, "x") else None

    def add(self, at_dofs: Array, out: Array) -> None:
        """Add what the constrained dofs contribute to the value's own. Collective."""
        if self._sum is None:
            np.add.at(out.reshape(-1), self._entries, at_dofs[self._dofs])
            return
        np.add.at(self._sum.cleared(), self._entries, at_dofs[self._dofs])
        out += self._sum.total()
