"""The arrays of the directions of second-order products: tangents of controls, adjoint, gradient.

Beside each array ``"u"`` there is one of its tangents, ``"u'"``, whose first axis counts the
directions. Where the first axis of a control is the step, that of the directions comes second, so
that the rows of a step stay together.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import StepperError
from adjoint.steppers.capabilities import Capabilities
from adjoint.steppers.mappings import Assignable, StateArrays
from adjoint.steppers.protocol import Arrays, Stepper

__all__ = [
    "Direction",
    "Directions",
    "complex_type",
    "parts",
    "require_free_names",
    "tangent_name",
    "tangent_shape",
]

ALL = slice(None)


@dataclass(frozen=True, slots=True)
class Direction:
    """Where one direction's arrays are; or all directions', for functions that take them at once.

    All are named as states and controls are, and stay where they are from one run to the next.
    """

    index: Any
    """What selects its part of the tangents of a state: a number, or all of them."""
    controls: Arrays
    """The tangents of the controls, read-only."""
    adjoint: Assignable
    """The tangents of the adjoint."""
    gradient: Assignable
    """What adds up to the products: real."""
    complex_controls: Arrays
    """The controls, with the tangents in their imaginary parts; empty if nothing needs them."""
    complex_gradient: Assignable
    """That of which `gradient` is the imaginary part; empty if it is not."""


class Directions:
    """The arrays of a number of directions, in zero memory that is not touched before it is used.

    Parameters
    ----------
    stepper
        What is differentiated along them.
    count
        The number of directions.
    scale
        By what directions are multiplied.
    moves_controls
        Whether functions are called with complex controls.
    adds_complex
        Whether functions add complex numbers to what adds up to the products.
    """

    def __init__(
        self,
        stepper: Stepper,
        count: int,
        scale: float,
        *,
        moves_controls: bool,
        adds_complex: bool,
    ) -> None:
        self._stepper, self._count, self._scale = stepper, count, scale
        self._moves_controls, self.adds_complex = moves_controls, adds_complex
        self._rows = Capabilities.of(stepper).per_step
        self.controls = self.tangents(stepper.controls, self._rows)
        """The directions, scaled."""
        self.accumulators = self.tangents(stepper.accumulators, self._rows)
        """What adds up to the products, scaled: their imaginary part if they are complex."""
        if adds_complex:
            for name, array in self.accumulators.items():
                self.accumulators[name] = np.zeros(array.shape, complex_type(array.dtype))
        self.singles: list[Direction] = []
        """Each of them."""
        self.at_once: list[Direction] = []
        """All of them as one."""

    def lay_out(self, adjoint: Arrays) -> None:
        """Make `singles` and `at_once`, given the tangents of the adjoint."""
        self.singles = [
            self._direction(i, adjoint, moved=self._moves_controls) for i in range(self._count)
        ]
        self.at_once = [self._direction(ALL, adjoint, moved=False)]

    def tangents(self, arrays: Arrays, rows: Collection[str] = ()) -> dict[str, NDArray[Any]]:
        """Return new arrays for the tangents of these, of which `rows` have a row per step."""
        return {
            tangent_name(k): np.zeros(tangent_shape(k, a.shape, self._count, rows), a.dtype)
            for k, a in arrays.items()
        }

    def take(self, directions: Mapping[str, Any]) -> None:
        """Replace the directions, given by the name of a control; those left out are zero."""
        for name in self._stepper.controls:
            given = np.asarray(directions.get(name, 0.0))
            if name in self._rows and name in directions:
                given = np.moveaxis(given, 0, 1)
            tangents = self.controls[tangent_name(name)]
            tangents[...] = given
            tangents *= self._scale

    def move_controls(self) -> None:
        """Copy the present controls, and the directions, to the complex controls."""
        for direction in self.singles:
            for name, array in direction.complex_controls.items():
                array.real, array.imag = self._stepper.controls[name], direction.controls[name]

    def products(self) -> dict[str, NDArray[Any]]:
        """Return the products, each with the axis of the directions first. Copies."""
        found: dict[str, NDArray[Any]] = {}
        for name in self._stepper.controls:
            grown = self.accumulators[tangent_name(name)]
            product = (np.imag(grown) if self.adds_complex else grown) / self._scale
            found[name] = np.moveaxis(product, 1, 0) if name in self._rows else product
        return found

    @property
    def complex_bytes(self) -> int:
        """Memory of the complex controls."""
        copies = (each.complex_controls.values() for each in self.singles)
        return sum(array.nbytes for arrays in copies for array in arrays)

    def _direction(self, index: Any, adjoint: Arrays, *, moved: bool) -> Direction:
        controls, rows = self._stepper.controls, self._rows
        grown = parts(self.accumulators, index, controls, rows)
        imaginary = {name: np.imag(array) for name, array in grown.items()}
        complex_controls = {
            k: np.zeros(a.shape, complex_type(a.dtype)) for k, a in controls.items() if moved
        }
        return Direction(
            index=index,
            controls=StateArrays(parts(self.controls, index, controls, rows)).read,
            adjoint=Assignable(parts(adjoint, index, self._stepper.adjoint)),
            gradient=Assignable(imaginary if self.adds_complex else grown),
            complex_controls=complex_controls,
            complex_gradient=Assignable(grown if self.adds_complex else {}),
        )


def tangent_name(name: str) -> str:
    """Return the name of the tangents of an array."""
    return f"{name}'"


def require_free_names(stepper: Stepper) -> None:
    """Raise `StepperError` if an array has the name of another's tangents."""
    for what, arrays in (("state", stepper.state), ("control", stepper.controls)):
        for name in arrays:
            if tangent_name(name) in arrays:
                raise StepperError(
                    f"{what} {tangent_name(name)!r} has the name of the tangents of {name!r} in "
                    "second-order products: give it another name"
                )


def tangent_shape(
    name: str, shape: tuple[int, ...], count: int, rows: Collection[str] = ()
) -> tuple[int, ...]:
    """Return the shape of `count` tangents of an array; `rows` names those with a row per step."""
    return (shape[0], count, *shape[1:]) if name in rows else (count, *shape)


def parts(arrays: Arrays, index: Any, names: Collection[str], rows: Collection[str] = ()) -> Arrays:
    """Return views of one direction's tangents, or of all, named as what they are tangents of."""
    found = {name: arrays[tangent_name(name)] for name in names}
    return {name: a[:, index, ...] if name in rows else a[index, ...] for name, a in found.items()}


def complex_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the complex dtype whose parts have this dtype; a complex one itself."""
    return np.result_type(dtype, np.complex64)
