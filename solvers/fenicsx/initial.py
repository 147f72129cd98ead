"""Where a run begins: from given values, from Functions, or from the solution of an equation."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from solvers.fenicsx.boundary import Boundary
from solvers.fenicsx.data import Data
from solvers.fenicsx.dofs import Array, load, owned
from solvers.fenicsx.equation import equation
from solvers.fenicsx.tangents import EquationTangent, Tangents
from solvers.fenicsx.transpose import Transpose

__all__ = ["FromFunctions", "FromValues", "InitialEquation", "InitialState", "InitialTangent"]


class InitialState(Protocol):
    """The levels of time at the beginning, as a function of the controls."""

    controls: set[str]
    """The names of those that they depend on."""
    values: Sequence[Array]
    """Values that they depend on as well."""

    def write(self, levels: Sequence[Array]) -> None:
        """Write the owned dofs of each level, newest first. Collective."""
        ...

    @property
    def reproducible(self) -> bool:
        """Whether the levels have the same bits each time."""
        ...

    def add_gradient(self, adjoints: Sequence[Array], gradient: Mapping[str, Array]) -> None:
        """Add the gradients, given the adjoints of the levels. Collective."""
        ...

    def along(self, tangents: Tangents, *, gauss_newton: bool) -> "InitialTangent":
        """Return the derivative along a direction."""
        ...


class InitialTangent(Protocol):
    """The derivative of an initial state along the direction that is loaded."""

    def write(self, levels: Sequence[Array]) -> None:
        """Write the tangent of each level, newest first. Collective."""
        ...

    def add_product(self, adjoints: Sequence[Array], gradient: Mapping[str, Array]) -> None:
        """Add the products, given the tangents of the adjoints of the levels. Collective.

        `InitialState.add_gradient` has been called, unless it is a Gauss-Newton product.
        """
        ...


class FromValues:
    """What Functions hold now, which no control changes."""

    reproducible = True

    def __init__(self, functions: Sequence[Any]) -> None:
        self.controls = set[str]()
        self.values: Sequence[Array] = [owned(function).copy() for function in functions]

    def write(self, levels: Sequence[Array]) -> None:
        for level, values in zip(levels, self.values, strict=True):
            level[:] = values

    def add_gradient(self, adjoints: Sequence[Array], gradient: Mapping[str, Array]) -> None:
        pass

    def along(self, tangents: Tangents, *, gauss_newton: bool) -> "InitialTangent":
        del tangents, gauss_newton
        return _OfNothing()


class FromFunctions:
    """What Functions hold at the beginning of each run, one for all levels or one for each."""

    reproducible = True

    def __init__(self, functions: Sequence[Any], controls: Mapping[str, Any]) -> None:
        self._functions = functions
        self.values: Sequence[Array] = [owned(function) for function in functions]
        self._names = [
            next((name for name, each in controls.items() if each is function), None)
            for function in functions
        ]
        self.controls = {name for name in self._names if name is not None}

    def write(self, levels: Sequence[Array]) -> None:
        for place, level in enumerate(levels):
            level[:] = owned(self._functions[place % len(self._functions)])

    def add_gradient(self, adjoints: Sequence[Array], gradient: Mapping[str, Array]) -> None:
        for place, adjoint in enumerate(adjoints):
            name = self._names[place % len(self._names)]
            if name is not None:
                gradient[name][...] += adjoint

    def along(self, tangents: Tangents, *, gauss_newton: bool) -> "InitialTangent":
        del gauss_newton
        directions = [
            None if name is None else tangents.of(function)
            for name, function in zip(self._names, self._functions, strict=True)
        ]
        return _OfFunctions(self, directions)


class InitialEquation:
    """The solution of an equation for the unknown, which all levels begin with.

    The first guess is what the unknown holds now. The conditions of the steps hold here too.

    Parameters
    ----------
    residual
        The form, pinned.
    unknown, boundary, controls
        Those of the steps.
    prefix
        Of PETSc's options.
    """

    def __init__(
        self,
        residual: Any,
        unknown: Any,
        boundary: Boundary,
        controls: Mapping[str, Any],
        prefix: str,
    ) -> None:
        # It is solved once in a run, so no operator for its transpose is worth keeping.
        self._data = Data(unknown.function_space.mesh, [unknown], _never)
        self._data.watch(boundary, boundary.read)
        self._equation = equation(residual, unknown, [], boundary, self._data, prefix)
        self._transpose = Transpose(self._equation, None, controls)
        self._unknown, self._by = unknown, controls
        self._solution = owned(unknown).copy()
        self.values: Sequence[Array] = [self._solution.copy()]
        self.controls = set(self._transpose.controls)

    @property
    def reproducible(self) -> bool:
        return self._equation.reproducible

    def write(self, levels: Sequence[Array]) -> None:
        self._data.refresh()
        self._equation.solve([], self._solution, None)
        for level in levels:
            level[:] = self._solution

    def add_gradient(self, adjoints: Sequence[Array], gradient: Mapping[str, Array]) -> None:
        self.renew()
        self._transpose.solve(np.sum(adjoints, axis=0), gradient, None)

    def renew(self) -> None:
        """Assemble the operator at the solution. Collective."""
        self._data.refresh()
        load(self._unknown, self._solution)
        self._equation.matrix.renew()

    def along(self, tangents: Tangents, *, gauss_newton: bool) -> "InitialTangent":
        tangent = EquationTangent(
            self._equation, None, self._by, tangents, gauss_newton=gauss_newton
        )
        return _OfEquation(self, tangent, tangents, self._unknown)


class _OfNothing:
    def write(self, levels: Sequence[Array]) -> None:
        for level in levels:
            level[:] = 0

    def add_product(self, adjoints: Sequence[Array], gradient: Mapping[str, Array]) -> None:
        pass


class _OfFunctions:
    def __init__(self, state: FromFunctions, directions: Sequence[Any]) -> None:
        self._directions = directions
        self.add_product = state.add_gradient  # which is linear

    def write(self, levels: Sequence[Array]) -> None:
        for place, level in enumerate(levels):
            direction = self._directions[place % len(self._directions)]
            level[:] = 0 if direction is None else owned(direction)


class _OfEquation:
    def __init__(
        self, state: InitialEquation, tangent: EquationTangent, tangents: Tangents, unknown: Any
    ) -> None:
        self._state, self._tangent, self._tangents = state, tangent, tangents
        self._unknown = unknown
        self._solution = np.zeros(owned(unknown).size)

    def write(self, levels: Sequence[Array]) -> None:
        self._state.renew()
        self._tangent.solve(self._solution, None)
        for level in levels:
            level[:] = self._solution

    def add_product(self, adjoints: Sequence[Array], gradient: Mapping[str, Array]) -> None:
        self._state.renew()
        self._tangent.solve(self._solution, None)
        self._tangents.load(self._unknown, self._solution)
        self._tangent.pull_back(np.sum(adjoints, axis=0), gradient, None)


def _never(holder: Any) -> bool:
    del holder
    return False
