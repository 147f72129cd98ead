"""Derivatives along a direction: of forms, of the solution of an equation, and of its transpose.

With ``D`` the derivative along a direction ``δ`` of everything that a form depends on, the tangent
of the solution ``u`` of ``F(u; u_i, m) = 0``, ``u = g``, is::

    A δu = -DF at free dofs, with δu = δg, and zero at free dofs, in DF;   δu = δg at the others

With ``L = F[λ]`` the adjoint ``λ`` has the tangent ``μ``, where ``DL`` is taken with ``λ`` fixed
and ``M = DL + F[μ]``::

    A^T μ = w' - ∂DL/∂u,  μ = 0 at constrained dofs
    u_i' += -∂M/∂u_i + ∂Dr/∂u_i      m' += -∂M/∂m + ∂Dr/∂m      g' += w' - ∂M/∂u

(Griewank and Walther 2008, doi:10.1137/1.9780898717761, section 5.4). All of it is derived from the
0-forms ``M`` and ``Dr``. A Gauss-Newton product has ``λ = 0``: then ``M = F[μ]``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from dolfinx import fem

from solvers.fenicsx.dofs import Array, array_of, load, owned
from solvers.fenicsx.equation import Equation
from solvers.fenicsx.forms import components, depends_on, nonzero, partial, with_multiplier
from solvers.fenicsx.operators import Multiplier, Residual, Sensitivity, sensitivity
from solvers.fenicsx.transpose import ByValue

__all__ = ["CostTangent", "EquationTangent", "Tangents"]


class Tangents:
    """Functions and Constants that hold a direction, one for each that it is a direction of."""

    def __init__(self, holders: Sequence[Any]) -> None:
        self._pairs = [(holder, _like(holder)) for holder in holders]

    def of(self, holder: Any) -> Any:
        """Return what holds the tangent of a Function or a Constant."""
        return next(tangent for each, tangent in self._pairs if each is holder)

    def load(self, holder: Any, values: Array) -> None:
        """Set the tangent of a Function, its owned dofs, or of a Constant. Collective."""
        tangent = self.of(holder)
        if hasattr(tangent, "x"):
            load(tangent, values)
        else:
            tangent.value[...] = values

    def along(self, form: Any, *, apart_from: Sequence[Any] = ()) -> Any:
        """Return the derivative of a form along the direction; None if it is zero."""
        total: Any = None
        present = depends_on(nonzero(form)) if nonzero(form) is not None else []
        for holder, tangent in self._pairs:
            if not any(holder is each for each in present):
                continue
            if any(holder is each for each in apart_from):
                continue
            total = _added(total, _towards(form, holder, tangent))
        return None if total is None else nonzero(total)


class CostTangent:
    """The derivatives of a cost along a direction, differentiated by Functions and Constants.

    Parameters
    ----------
    cost
        The form, pinned, or None.
    tangents
        Of what it depends on.
    by
        What to differentiate by, by any name.
    equation
        Whose Functions are meant.
    """

    def __init__(
        self, cost: Any, tangents: Tangents, by: Mapping[Any, Any], equation: Equation
    ) -> None:
        self.form = None if cost is None else tangents.along(cost)
        self._parts = _sensitivities(self.form, by, equation)
        self.uses = _used(self._parts)

    def add(self, name: Any, out: Array) -> None:
        """Add the derivative by one of them. Collective."""
        if name in self._parts:
            self._parts[name].add(out)


class EquationTangent:
    """The derivatives of an equation, and of a cost of its Functions, along a direction.

    Parameters
    ----------
    equation
        The equation.
    cost
        The cost, pinned, or None.
    controls
        Functions and Constants to differentiate by.
    tangents
        Of all Functions and Constants.
    gauss_newton
        Whether the multiplier is left out.
    """

    def __init__(
        self,
        equation: Equation,
        cost: Any,
        controls: Mapping[str, Any],
        tangents: Tangents,
        *,
        gauss_newton: bool,
    ) -> None:
        self._equation, self._tangents = equation, tangents
        unknown, residual = equation.unknown, equation.residual
        along = tangents.along(residual)
        self._along = None if along is None else Residual(along)
        self._multiplier = Multiplier(unknown.function_space)
        first = with_multiplier(residual, self._multiplier.function)
        curved = None
        if not gauss_newton:
            multiplier = equation.multiplier.function
            lagrangian = with_multiplier(residual, multiplier)
            curved = tangents.along(lagrangian, apart_from=[multiplier])
        self._cost = None if cost is None else tangents.along(cost)
        both = _added(_negative(_added(first, curved)), self._cost)
        levels = dict(enumerate(equation.previous))
        self._by_levels = _sensitivities(both, levels, equation)
        self._by_controls = _sensitivities(both, controls, equation)
        boundary = equation.boundary
        self._by_values = {
            name: (x, *boundary.pairs(x), ByValue(x, *boundary.pairs(x)))
            for name, x in controls.items()
            if boundary.prescribed_by(x)
        }
        self._by_unknown = _sensitivities(_negative(curved), {"u": unknown}, equation)
        self._by_multiplier: dict[Any, Sensitivity] = {}
        if self._by_values:
            self._by_multiplier = _sensitivities(_negative(first), {"u": unknown}, equation)
        self.uses = _used(self._by_levels, self._by_controls, self._by_unknown)
        self.uses |= _used(self._by_multiplier)
        if along is not None:
            self.uses |= set(depends_on(along))
        if equation.matrix.uses_state:
            self.uses |= set(equation.matrix.depends_on)
        self._tangent = np.zeros(owned(unknown).size)
        self._lifted = np.zeros(owned(unknown).size)

    def solve(self, out: Array, step: int | None) -> None:
        """Write the tangent of the solution; those of levels and controls are loaded. Collective.

        The operator of the equation has been renewed.
        """
        unknown, constrained = self._equation.unknown, self._equation.boundary.owned
        self._lifted[:] = 0
        for x, dofs, entries, _ in self._by_values.values():
            self._lifted[dofs] = array_of(self._tangents.of(x)).reshape(-1)[entries]
        self._tangents.load(unknown, self._lifted)
        right = self._tangent
        right[:] = 0 if self._along is None else -self._along.assemble()
        right[constrained] = self._lifted[constrained]
        self._equation.solve_again(right, out, step)

    def pull_back(self, w: Array, gradient: Mapping[str, Array], step: int | None) -> None:
        """Solve for the tangent of the multiplier, and add the products. Collective.

        Parameters
        ----------
        w
            The tangent of the adjoint of the solution; overwritten.
        gradient
            The products by the name of a control.
        step
            For errors.
        """
        if "u" in self._by_unknown:
            self._by_unknown["u"].add(w)
        self._equation.transpose_again(w, self._multiplier, step)
        if self._by_values:
            if "u" in self._by_multiplier:
                self._by_multiplier["u"].add(w)
            for name, (*_, by_value) in self._by_values.items():
                by_value.add(w, gradient[name])
        for name, part in self._by_controls.items():
            part.add(gradient[name])

    def add_to_level(self, place: int, out: Array) -> None:
        """Add the derivative by a level to the tangent of its adjoint. Collective."""
        if place in self._by_levels:
            self._by_levels[place].add(out)


def _like(holder: Any) -> Any:
    """Return a Function or a Constant like another one, with zeros."""
    if hasattr(holder, "x"):
        return fem.Function(holder.function_space)
    return fem.Constant(holder.ufl_domain(), np.zeros(holder.value.shape))


def _towards(form: Any, holder: Any, tangent: Any) -> Any:
    """Return the derivative of a form by a Function or a Constant along its tangent."""
    if hasattr(holder, "x"):
        return partial(form, holder, tangent)
    total: Any = None
    indices = np.ndindex(holder.ufl_shape)
    for index, part in zip(indices, components(form, holder), strict=True):
        if part is not None:
            total = _added(total, (tangent[index] if index else tangent) * part)
    return total


def _sensitivities(form: Any, by: Mapping[Any, Any], equation: Equation) -> dict[Any, Sensitivity]:
    """Return the derivatives of a 0-form, apart from those that are zero."""
    if form is None:
        return {}
    multiplier, data = equation.multiplier, equation.data
    found = {name: sensitivity(x, None, form, multiplier, data) for name, x in by.items()}
    return {name: each for name, each in found.items() if each is not None}


def _used(*parts: Mapping[Any, Sensitivity]) -> set[Any]:
    return {each for group in parts for part in group.values() for each in part.uses}


def _negative(form: Any) -> Any:
    return None if form is None else -form


def _added(one: Any, other: Any) -> Any:
    if one is None or other is None:
        return other if one is None else one
    return one + other
