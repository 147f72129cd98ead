"""Identities that right derivatives have, evaluated at a few points of a run's reverse sweep.

With random tangents ``a``, ``b`` and a random adjoint ``w``, exact to round-off::

    <w, F' a> = <F'^T w, a>            transposition
    <w, F''[a, b]> = <w, F''[b, a]>    symmetry

No differences are taken, and there is no step to choose. They find code that is not analytic in its
complex arguments where NumPy does not warn: ``abs``, ``sign``, ``.real``, ``vdot``, a copy of a
control under another name. A curvature of zero satisfies them too. So where it is zero at another
point, moved along ``a``, the transposed derivative must be there what it is at the first.

Random numbers are non-zero where the tangent or the adjoint of the run are: in ghost cells, on land
and the like a transposed derivative may leave out what no run brings about.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import SolveError
from adjoint.steppers.capabilities import Capabilities
from adjoint.steppers.mappings import Assignable
from adjoint.steppers.protocol import Arrays
from adjoint.steppers.second_order.derivatives import Derivatives
from adjoint.steppers.second_order.directions import parts, tangent_name
from adjoint.steppers.second_order.hooks import invoke

__all__ = ["Identities", "Identity", "steps_to_check"]

MOVED = 2.0**-10
"""How far a point is moved, relative to the largest value of each array."""

RANDOM_STEPS = 2

DISCARDED = (
    "Imaginary parts are discarded without a warning, as by abs, sign, .real, ifft(...).real or "
    "vdot, or controls are read elsewhere than in self.controls, or the derivative is wrong: see "
    "docs/second_derivatives.md"
)

BY_HAND = "One of the functions is wrong: adjoint.verification tests those of the gradient"

TOLERANCE, SINGLE_TOLERANCE = 1e-10, 1e-4
"""Round-off is far smaller, and what is wrong was by 1e-3 and more."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One identity at one point, on this rank: what follows is to be summed over ranks."""

    function: str
    """The function whose derivatives are tested."""
    kind: str
    """"transposition", "symmetry" or, of one without curvature, "affinity"."""
    step: int | None
    left: float
    right: float
    """Both sides; of affinity the change of the derivative, and the curvature."""
    size: float
    """The absolute values of all terms."""
    is_complex: bool
    """Whether the function is differentiated by complex step."""
    tolerance: float
    """The largest error of right derivatives."""

    def summed(self, left: float, right: float, size: float) -> Self:
        """Return the same with the sums over ranks."""
        return replace(self, left=left, right=right, size=size)

    @property
    def wrong(self) -> str:
        """What is wrong, in words; empty if nothing is, or if nothing can be said."""
        if not isfinite(self.error) or self.error <= self.tolerance:
            return ""
        where = "" if self.step is None else f" of step {self.step}"
        vjp = f"{self.function}_vjp()"
        jvp = f"{self.function}()" if self.is_complex else f"{self.function}_jvp()"
        curvature = f"{self.function}_curvature()"
        if self.kind == "affinity":
            said = f"what {vjp}{where} computes depends on state or controls, but "
            if self.is_complex:
                return f"{said}complex step finds no second derivative: {DISCARDED}"
            return f"{said}there is no {curvature}, as if it did not: write it"
        differ = f"differ by {self.error:.0e} of their terms"
        if self.kind == "transposition":
            said = f"{vjp}{where} is not the transpose of {jvp}: <w, F' a> and <F'^T w, a> {differ}"
        else:
            by = vjp if self.is_complex else curvature
            said = f"second derivatives by {by}{where} are not symmetric: the two orders {differ}"
        return f"{said}. {DISCARDED if self.is_complex else BY_HAND}"

    @property
    def error(self) -> float:
        """The relative error: of the order of round-off if the derivatives are right."""
        if self.kind == "affinity":
            return 0.0 if self.right or not self.size else self.left / self.size
        return abs(self.left - self.right) / self.size if self.size else 0.0


class Identities:
    """Evaluates identities. The memory of five states is in use meanwhile.

    Parameters
    ----------
    derivatives
        What is tested.
    """

    def __init__(self, derivatives: Derivatives) -> None:
        self.found: list[Identity] = []
        """Those evaluated so far."""
        self._derivatives, stepper = derivatives, derivatives.stepper
        self._stepper = stepper
        self._rows, self._scale = Capabilities.of(stepper).per_step, derivatives.scale
        self._directions = derivatives.directions(1)
        self._tangents = self._directions.tangents(stepper.adjoint)
        self._back = self._directions.tangents(stepper.adjoint)
        self._directions.lay_out(self._back)
        self._along = derivatives.along(self._directions)
        zeros = {name: np.zeros(a.shape, a.dtype) for name, a in stepper.adjoint.items()}
        self._zero: Arrays = zeros
        self._weights: Arrays = {name: np.zeros_like(a) for name, a in zeros.items()}
        self._step: int | None = None
        self._state: Arrays = zeros
        self._seen: Arrays = zeros
        """The tangents of the run."""

    def of_step(self, step: int, state: Arrays, tangent: Arrays, adjoint: Arrays) -> None:
        """Evaluate those of a step and of its cost, at a state of the run.

        `tangent` and `adjoint` are those of the run, and say where random numbers are non-zero.
        """
        self._begin(step, state, tangent, adjoint)
        self._transposition("step", step, state)
        if not self._derivatives.gauss_newton:
            self._symmetry("step", "step_vjp", step, state)
        self._symmetry("step_cost", "step_cost_vjp", step, state)

    def of_end(self, state: Arrays, tangent: Arrays) -> None:
        """Evaluate those of the terminal cost."""
        self._begin(None, state, tangent, self._zero)
        self._symmetry("terminal_cost", "terminal_cost_vjp", state)

    def of_start(self, adjoint: Arrays) -> None:
        """Evaluate those of the initial state."""
        self._begin(None, self._zero, self._zero, adjoint)
        if self._along["initial_state"]:
            self._transposition("initial_state")
            if not self._derivatives.gauss_newton:
                self._symmetry("initial_state", "initial_state_vjp")

    # -- identities ---------------------------------------------------------------------------

    def _transposition(self, function: str, *point: Any) -> None:
        """Compare ``<w, F' a>`` with ``<F'^T w, a>``."""
        self._move("a")
        for direction, derivative in self._along[function]:
            index = direction.index
            tangent = (parts(self._tangents, index, self._zero),) if point else ()
            derivative(direction, *point, *tangent, parts(self._back, index, self._zero))
        after = self._unscaled(self._back)
        left, size = _sums(np.conj(self._weights[name]) * a for name, a in after.items())
        right, other = _sums(self._terms("a", *self._pulled(f"{function}_vjp", *point)))
        self._found(function, "transposition", function, left, right, size + other)

    def _symmetry(self, function: str, vjp: str, *point: Any) -> None:
        """Compare ``<w, F''[a, b]>`` with ``<w, F''[b, a]>``, and look at a curvature of zero."""
        if not self._along[vjp]:
            return
        self._move("b")
        right, other = _sums(self._terms("a", *self._curved(vjp, *point)))
        self._move("a")
        left, size = _sums(self._terms("b", *self._curved(vjp, *point)))
        self._found(function, "symmetry", vjp, left, right, size + other)
        self._found(function, "affinity", vjp, *self._change(vjp, *point))

    def _found(
        self, function: str, kind: str, derived: str, left: float, right: float, size: float
    ) -> None:
        """Keep an identity; `derived` is the function whose derivative it tests."""
        arrays = [*self._stepper.adjoint.values(), *self._stepper.controls.values()]
        single = any(array.dtype.itemsize < 8 for array in arrays)
        is_complex = self._derivatives.is_complex[derived]
        tolerance = SINGLE_TOLERANCE if single else TOLERANCE
        found = Identity(function, kind, self._step, left, right, size, is_complex, tolerance)
        self.found.append(found)

    # -- random numbers -----------------------------------------------------------------------

    def _begin(self, step: int | None, state: Arrays, tangent: Arrays, adjoint: Arrays) -> None:
        for name, view in self._views(self._directions.controls).items():
            view[self._row(name)] = 0  # of the point before
        self._step, self._state, self._seen = step, state, tangent
        for name, weights in self._weights.items():
            sized = 1.0 if self._derivatives.gauss_newton else adjoint[name]
            weights[...] = self._random("w", name, weights, sized) * (adjoint[name] != 0)

    def _random(self, tag: str, name: str, like: Any, sized: Any) -> NDArray[Any]:
        """Return the random numbers of a name, the same in each call, of the size of an array."""
        key = [zlib.crc32(f"{tag} {name}".encode()), 0 if self._step is None else self._step + 1]
        generator = np.random.default_rng(key)
        numbers = generator.standard_normal(like.shape)
        if np.iscomplexobj(like):
            numbers = numbers + 1j * generator.standard_normal(like.shape)
        size = float(np.max(np.abs(sized), initial=0.0)) or 1.0
        return (numbers * size).astype(like.dtype)

    def _of_state(self, tag: str) -> dict[str, NDArray[Any]]:
        """Return the random tangents of a state."""
        return {
            name: self._random(tag, f"state {name}", zero, self._state[name])
            * (self._seen[name] != 0)
            for name, zero in self._zero.items()
        }

    def _of_controls(self, tag: str) -> dict[str, NDArray[Any]]:
        """Return the random tangents of the controls: of those with rows, only the step's row."""
        rows = {name: self._row(name) for name in self._stepper.controls}
        values = {name: np.asarray(c[rows[name]]) for name, c in self._stepper.controls.items()}
        return {name: self._random(tag, f"control {name}", v, v) for name, v in values.items()}

    def _row(self, name: str) -> Any:
        """Return what selects the part of a control that a step may depend on."""
        return (self._step,) if name in self._rows and self._step is not None else (...,)

    def _move(self, tag: str) -> None:
        """Make the random numbers of a tag the direction."""
        for name, drawn in self._of_state(tag).items():
            self._tangents[tangent_name(name)][0] = drawn * self._scale
        views = self._views(self._directions.controls)
        for name, drawn in self._of_controls(tag).items():
            views[name][self._row(name)] = drawn * self._scale
        self._directions.move_controls()

    def _views(self, arrays: Arrays) -> Arrays:
        """Return the only direction's part of the tangents of controls, or of their gradient."""
        return parts(arrays, 0, self._stepper.controls, self._rows)

    # -- derivatives --------------------------------------------------------------------------

    def _pulled(self, vjp: str, *point: Any) -> tuple[Arrays, Arrays]:
        """Return ``F'^T w``, by state and control."""
        return self._derived(vjp, self._weights, self._zero, *point)

    def _curved(self, vjp: str, *point: Any) -> tuple[Arrays, Arrays]:
        """Return ``F''[a, .]^T w``, or the second derivative of a cost, by state and control."""
        return self._derived(vjp, self._zero, self._weights, *point)

    def _derived(
        self, vjp: str, tangent_of_adjoint: Arrays, adjoint: Arrays, *point: Any
    ) -> tuple[Arrays, Arrays]:
        grown = self._views(self._directions.accumulators)
        for name, array in grown.items():
            array[self._row(name)] = 0
        for name, array in tangent_of_adjoint.items():
            self._back[tangent_name(name)][0] = array * self._scale
        for direction, derivative in self._along[vjp]:
            tangent = (parts(self._tangents, direction.index, self._zero),) if point else ()
            above = () if "cost" in vjp else (adjoint,)
            derivative(direction, *point, *above, *tangent)
        gradient = {name: np.array(array[self._row(name)]) for name, array in grown.items()}
        if self._directions.adds_complex:
            gradient = {name: np.imag(array) for name, array in gradient.items()}
        back = {} if vjp == "initial_state_vjp" else self._unscaled(self._back)
        return back, {name: array / self._scale for name, array in gradient.items()}

    def _unscaled(self, tangents: Arrays) -> Arrays:
        return {k: a / self._scale for k, a in parts(tangents, 0, self._zero).items()}

    def _terms(self, tag: str, of_state: Arrays, of_controls: Arrays) -> Iterator[NDArray[Any]]:
        """Yield the terms of the product of a derivative with the random numbers of a tag."""
        if of_state:
            for name, drawn in self._of_state(tag).items():
                yield np.conj(of_state[name]) * drawn
        for name, drawn in self._of_controls(tag).items():
            yield np.conj(of_controls[name]) * drawn

    def _change(self, vjp: str, *point: Any) -> tuple[float, float, float]:
        """Return how much ``F'^T w`` changes where the point is moved along ``a``.

        And the curvature there, and the size of what changes.
        """
        stepper, there = self._stepper, list(point)
        moved = {
            k: np.array(c) if type(c) is np.ndarray else c for k, c in stepper.controls.items()
        }
        for name, drawn in self._of_controls("a").items():
            if moved[name] is not stepper.controls[name]:
                moved[name][self._row(name)] += MOVED * drawn
        if point:
            tangents = {name: MOVED * drawn for name, drawn in self._of_state("a").items()}
            there[-1] = {k: a + tangents.get(k, 0) for k, a in point[-1].items()}
        before = self._pulled_at(vjp, point)
        present = stepper.controls
        try:
            stepper.exchange_controls(moved)
            with np.errstate(all="ignore"):
                after = self._pulled_at(vjp, there)
                self._directions.move_controls()
                curved = self._curved(vjp, *there)
        except SolveError:
            return 0.0, 0.0, 0.0
        finally:
            stepper.exchange_controls(present)
        change = sum(float(np.abs(after[name] - a).sum()) for name, a in before.items())
        curvature, size = (
            sum(float(np.abs(array).sum()) for part in parts for array in part.values())
            for parts in (curved, (before, after))
        )
        return change, curvature, size

    def _pulled_at(self, vjp: str, point: Sequence[Any]) -> Arrays:
        """Return ``F'^T w`` as the user's own function computes it."""
        back = Assignable({name: np.array(array) for name, array in self._weights.items()})
        grown = self._stepper.accumulators
        gradient = Assignable({name: np.zeros(a.shape, a.dtype) for name, a in grown.items()})
        invoke(getattr(self._stepper, vjp), "adjoint", (back, gradient), *point, back, gradient)
        rows = {name: array[self._row(name)] for name, array in gradient.items()}
        return {**{f"state {k}": a for k, a in back.items()}, **rows}


def _sums(terms: Iterable[NDArray[Any]]) -> tuple[float, float]:
    """Return the sum of the real parts of all terms, and that of their absolute values."""
    total = size = 0.0
    for term in terms:
        total += float(np.real(term).sum())
        size += float(np.abs(term).sum())
    return total, size


def steps_to_check(num_steps: int) -> frozenset[int]:
    """Return the first, the middle, the last and two random steps."""
    random = np.random.default_rng(num_steps).integers(num_steps, size=RANDOM_STEPS)
    return frozenset({0, num_steps // 2, num_steps - 1, *map(int, random)})
