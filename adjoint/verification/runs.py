"""Runs of a stepper with its controls and states moved along a direction, and pulled back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import fsum, nan, sqrt
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import ArgumentError, NonFiniteError, SolveError
from adjoint.functional import Functional
from adjoint.parallel import Communicator, largest
from adjoint.steppers import Arrays, Capabilities, Stepper
from adjoint.steppers.checks import check_num_steps, check_stepper
from adjoint.verification.differences import (
    ROUNDING,
    Precision,
    Samples,
    compare,
    measure_noise,
)
from adjoint.verification.verdicts import Comparison

__all__ = [
    "Fields",
    "InnerProduct",
    "Runs",
    "Segment",
    "require_functional",
    "require_steps",
    "wide",
]

InnerProduct = Callable[[Arrays, Arrays], float]
"""This rank's part of the inner product of two mappings with the same names."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Fields:
    """Values of controls and of a state: a point, a direction or a gradient."""

    controls: Arrays
    state: Arrays

    def __or__(self, other: "Fields") -> "Fields":
        """Return both; where they have a name in common, the other one's."""
        return Fields({**self.controls, **other.controls}, {**self.state, **other.state})


NOWHERE = Fields({}, {})


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a run. Its functions are ``<weights, u[stop]>``, if there are any, and its cost."""

    start: int
    stop: int
    state: Arrays | None = None
    """The state at `start`; None: the initial state, which depends on the controls."""
    weights: Arrays | None = None
    turns: bool = False
    """Whether the terminal cost counts."""
    after: "Segment | None" = None
    """What is advanced over before `state` is set: a stepper may check that its run has ended."""


class Runs:
    """A stepper whose controls are moved, and left as they were. A context manager.

    All ranks make the same calls. What is returned is the same on all of them, but for arrays.
    """

    def __init__(
        self, stepper: Stepper, comm: Communicator, inner_product: InnerProduct | None
    ) -> None:
        check_stepper(stepper)
        self.stepper, self.comm, self.has = stepper, comm, Capabilities.of(stepper)
        self._inner = inner_product or _euclidean
        self.controls = _copied(stepper.controls)
        """The controls as they were before the test."""
        self.state_names = list(stepper.adjoint)
        """The arrays of the state that have an adjoint."""
        self.precision = Precision(largest(_coarsest(stepper), comm))
        self.evaluations = 0
        """How often a segment was sampled."""
        self._frozen: NDArray[np.float64] | None = None
        stepper.start()
        self._accepted = self.has.accepted_steps

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._set_controls(self.controls)
        if self._accepted is not None:
            self.has.accept_steps(self._accepted)

    def accept_present_steps(self) -> None:
        """Let every later run take the steps that this one has accepted."""
        if self._accepted is not None:
            self._frozen = np.array(self.has.accepted_steps)

    def leaves(self, num_steps: int) -> list[tuple[int, int]]:
        """Return the ranges of steps that are pulled back together."""
        leaf = self.has.leaf_steps or 1
        return [(start, min(start + leaf, num_steps)) for start in range(0, num_steps, leaf)]

    # -- derivatives --------------------------------------------------------------------------

    def compare(
        self,
        segment: Segment,
        directions: Sequence[tuple[str, Fields]],
        gradients: Sequence[Fields],
        computed: Sequence[Fields] | None = None,
    ) -> list[tuple[str, list[Comparison]]]:
        """Compare the segment's functions with their gradients, along each direction by name.

        `gradients` are this rank's parts; `computed` is what they were computed from, if it is
        something else: it has the round-off. Where a name comes twice, round-off is measured along
        the first one.
        """
        together = NOWHERE
        for _, direction in reversed(directions):
            together |= direction
        around = partial(self._sample, segment, gradients, together)
        lost = self._lost(segment, gradients)
        step, noise = measure_noise(around, self.precision, lost)
        found: list[tuple[str, list[Comparison]]] = []
        num_steps = segment.stop - segment.start
        for name, direction in directions:
            slopes = [self.slope(gradient, direction) for gradient in gradients]
            roundings = [
                2 * sqrt(num_steps or 1) * self._rounding(g, direction)
                for g in computed or gradients
            ]
            sample = partial(self._sample, segment, gradients, direction)
            result = compare(sample, slopes, roundings, step, noise, self.precision)
            found.append((name, result))
        return found

    def _lost(self, segment: Segment, gradients: Sequence[Fields]) -> NDArray[np.float64]:
        """Return the round-off in each function if all steps round the state alike."""
        start = segment.state or self.state_after(Segment(0, 0))
        each = [self._rounding(gradient, Fields({}, start)) for gradient in gradients]
        return ROUNDING * (segment.stop - segment.start) * np.array(each)

    def slope(self, gradient: Fields, direction: Fields) -> float:
        """Return the derivative along a direction, from this rank's parts of the gradient."""
        return fsum(self.comm.gather(self._product(gradient, direction)))

    def pulled_back(
        self, segment: Segment, weights: Arrays, direction: Fields = NOWHERE, position: float = 0.0
    ) -> Fields:
        """Return what the stepper makes of an adjoint at the end of a segment, on this rank.

        With `Segment.turns` it is the derivative of the terminal cost; of no steps, that of the
        initial state. The start may be moved.
        """
        stepper, start, stop = self.stepper, segment.start, segment.stop

        def pulled() -> Fields:
            if segment.turns:
                stepper.turn(0.0)
            elif start < stop:
                stepper.record(start, stop, reach_stop=True)
            if not segment.turns:
                self._set_adjoint(weights)
            if start < stop:
                stepper.pull_back(start, stop)
            adjoint = _copied(stepper.adjoint)
            # Some steppers complete the gradients of other controls, too, when they finish.
            if start < stop or segment.turns:
                self._set_adjoint({})
            stepper.finish()
            return Fields(_copied(stepper.accumulators), adjoint)

        return self._moved(segment, direction, position, pulled)[0]

    def state_after(
        self, segment: Segment, direction: Fields = NOWHERE, position: float = 0.0
    ) -> Arrays:
        """Return a copy of the state at the end of a segment, moved at its start."""

        def advanced() -> Arrays:
            if segment.start < segment.stop:
                self.stepper.advance(segment.start, segment.stop)
            return _copied(self.stepper.state)

        return self._moved(segment, direction, position, advanced)[0]

    # -- moved runs ---------------------------------------------------------------------------

    def _moved(
        self, segment: Segment, direction: Fields, position: float, result: Callable[[], Value]
    ) -> tuple[Value, Fields]:
        """Return a result at the moved start of a segment, and by how much this was moved."""
        with np.errstate(all="ignore"), self.comm.failing():
            controls, shift = _shifted(self.controls, direction.controls, position)
            self._set_controls(controls)
            try:
                moved = Fields(shift, self._place(segment, direction.state, position))
                return result(), moved
            finally:
                self._set_controls(self.controls)

    def _sample(
        self, segment: Segment, gradients: Sequence[Fields], direction: Fields, position: float
    ) -> Samples:
        """Return the segment's functions at a point of the direction, summed over ranks.

        A solver that does not converge, or finds values that are not finite, gives NaN.
        """
        self.evaluations += 1
        run = partial(self._functions, segment)
        try:
            values, shift = self._moved(segment, direction, position, run)
        except (NonFiniteError, SolveError):
            values, shift = [nan] * len(gradients), NOWHERE
        predicted = [self._product(gradient, shift) for gradient in gradients]
        totals = [fsum(own) for own in zip(*self.comm.gather(values + predicted), strict=True)]
        return Samples(np.array(totals[: len(values)]), np.array(totals[len(values) :]))

    def _functions(self, segment: Segment) -> list[float]:
        stepper, cost = self.stepper, 0.0
        if segment.start < segment.stop:
            cost = stepper.advance(segment.start, segment.stop, cost=0.0) or 0.0
        if segment.turns:
            cost = stepper.turn(cost)
        if segment.weights is None:
            return [float(cost)]
        state = {name: stepper.state[name] for name in segment.weights}
        return [self._inner(segment.weights, state), float(cost)]

    def _place(self, segment: Segment, direction: Arrays, position: float) -> Arrays:
        """Go to the start of a segment, moved; return by how much the state was."""
        stepper, base = self.stepper, segment.state
        if segment.after is None:
            stepper.start()
            if self._frozen is not None:
                self.has.accept_steps(self._frozen)
        else:
            self._place(segment.after, {}, 0.0)
            stepper.advance(segment.after.start, segment.after.stop)
        if base is None:
            if not direction:
                return {}
            base = {name: stepper.state[name].copy() for name in direction}
        moved, shift = _shifted(base, direction, position)
        for name, values in {**base, **moved}.items():
            stepper.state[name][...] = values
        if self.has.restorable is not None:
            self.has.restorable.restored(segment.start)
        return shift

    def _set_controls(self, values: Arrays) -> None:
        for name, array in values.items():
            self.stepper.controls[name][...] = array

    def _set_adjoint(self, values: Arrays) -> None:
        for name, array in self.stepper.adjoint.items():
            array[...] = values.get(name, 0)

    # -- products -----------------------------------------------------------------------------

    def _product(self, a: Fields, b: Fields) -> float:
        """Return this rank's part of the inner product over the names of `b`."""
        total = 0.0
        for left, right in ((a.controls, b.controls), (a.state, b.state)):
            names = [name for name in right if name in left]
            if names:
                total += self._inner({k: left[k] for k in names}, {k: right[k] for k in names})
        return total

    def _rounding(self, gradient: Fields, direction: Fields) -> float:
        """Return the round-off in a directional derivative if each entry is rounded once."""
        squares = 0.0
        for g, d in ((gradient.controls, direction.controls), (gradient.state, direction.state)):
            for name in g.keys() & d.keys():
                squares += float(np.square(np.abs(wide(g[name]) * d[name])).sum())
        total = fsum(self.comm.gather(squares))
        return self.precision.epsilon * sqrt(total)


def require_steps(num_steps: Any, stepper: Stepper) -> int:
    """Return a number of steps to be tested; raise `ArgumentError` unless it is one."""
    steps = check_num_steps(num_steps, stepper)
    if steps is None:
        raise ArgumentError("num_steps=None: say how many steps are to be tested")
    return steps


def require_functional(given: object, test: str) -> None:
    """Raise `ArgumentError` unless what a test is given is a `Functional`."""
    if not isinstance(given, Functional):
        raise ArgumentError(
            f"{test} takes a Functional, not {type(given).__name__}: write "
            f"with adjoint.Functional(stepper, num_steps, …) as functional: {test}(functional)"
        )


def wide(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array in double precision."""
    return np.asarray(array, np.result_type(array.dtype, float))


def _shifted(base: Arrays, direction: Arrays, position: float) -> tuple[Arrays, Arrays]:
    """Return what was moved, rounded, and by how much it differs from `base`."""
    moved: dict[str, NDArray[Any]] = {}
    shift: dict[str, NDArray[Any]] = {}
    for name, towards in direction.items():
        origin = wide(base[name])
        moved[name] = (origin + position * towards).astype(base[name].dtype)
        shift[name] = wide(moved[name]) - origin
    return moved, shift


def _coarsest(stepper: Stepper) -> float:
    """Return the largest relative spacing of numbers in arrays that are differentiated."""
    spacings = [float(np.finfo(float).eps)]
    state = {name: stepper.state[name] for name in stepper.adjoint}
    for arrays in (state, stepper.adjoint, stepper.controls, stepper.accumulators):
        for name, array in arrays.items():
            # Half precision, and extensions such as bfloat16.
            if array.dtype.kind == "V" or array.dtype.itemsize < 4:
                raise ArgumentError(
                    f"{name!r} is {array.dtype}: too few digits for differences to show a "
                    "derivative. Test the stepper with float32 or float64"
                )
            spacings.append(float(np.finfo(array.dtype).eps))
    return max(spacings)


def _copied(arrays: Arrays) -> Arrays:
    return {name: np.array(array) for name, array in arrays.items()}


def _euclidean(a: Arrays, b: Arrays) -> float:
    return fsum(float(np.vdot(wide(a[name]), wide(b[name])).real) for name in b)
