"""A stepper around one that is more than functions: its run, and the run's derivative.

The formulas are those of `adjoint.steppers.second_order.stepper`. What a solver adds is how its
tangents are taken over some steps and how those of its adjoint are pulled back, for one direction;
state, tapes, controls and the order of things are here. A tape holds the states, with their
tangents, at the beginning of every leaf that the inner stepper insists on, or of every step; each
is recorded anew by the inner stepper before it is pulled back. Directions are taken one by one, so
that products have the same bits for any block.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from numpy.typing import NDArray

from adjoint.steppers.aligned import aligned_zeros
from adjoint.steppers.capabilities import Capabilities
from adjoint.steppers.protocol import Arrays, Stepper, copy_arrays, state_bytes
from adjoint.steppers.scratch import Scratch
from adjoint.steppers.second_order.complex_step import complex_is_reproducible
from adjoint.steppers.second_order.directions import (
    Direction,
    Directions,
    parts,
    require_free_names,
    tangent_name,
)
from adjoint.steppers.second_order.identities import Identity

__all__ = ["SecondOrderOfLeaves"]

PASSED_ON = ("accept_steps", "accepted_steps", "finished", "first_non_finite", "position")
"""Optional attributes of the inner stepper that hold here as well."""


class SecondOrderOfLeaves(ABC):
    """Second-order products of a stepper, along a number of directions.

    State, adjoint, controls and accumulators are those of the inner stepper and, for each name
    ``"u"`` of them, the tangents ``"u'"``. The inner stepper's arrays are shared with it; nobody
    else may step it until the run has ended.

    Parameters
    ----------
    inner
        Whose cost is differentiated.
    directions
        By the name of a control, shaped as it with a leading axis. Those of other controls are
        zero. Copied.
    gauss_newton
        Whether to leave out the curvature of steps and initial state.
    scale
        By what directions are multiplied.
    is_complex
        Whether the solver computes with complex numbers (`Direction.complex_controls`).

    Raises
    ------
    StepperError
        A name is taken.
    """

    def __init__(
        self,
        inner: Stepper,
        directions: Mapping[str, Any],
        *,
        gauss_newton: bool = False,
        scale: float = 1.0,
        is_complex: bool = False,
    ) -> None:
        has = self._has = Capabilities.of(inner)
        self.inner, self.gauss_newton = inner, gauss_newton
        require_free_names(inner)
        self._names, self._moving = list(inner.state), list(inner.adjoint)
        self.problem_name = f"second-order products of {has.problem_name}"
        self.reproducible = has.reproducible and (not is_complex or complex_is_reproducible())
        self._unit = has.leaf_steps
        self._count = len(next(iter(directions.values())))
        self._directions = Directions(
            inner, self._count, scale, moves_controls=is_complex, adds_complex=is_complex
        )
        self._tangents = self._directions.tangents(inner.adjoint)
        self._back = self._directions.tangents(inner.adjoint)
        self._directions.lay_out(self._back)
        shapes = {name: (a.shape, a.dtype) for name, a in self.state.items()}
        self.tape_memory = Scratch(partial(_zeros, shapes))
        self._tapes: dict[tuple[int, int], list[Arrays]] = {}
        self.identities: Sequence[Identity] = ()
        """None are evaluated: the derivatives of a solver are tested with it."""
        self.take_directions(directions)

    # -- what a solver adds -------------------------------------------------------------------

    def prepare(self) -> None:  # noqa: B027 (need not be overridden)
        """Take note of controls and directions, which may have changed: a run begins."""

    @abstractmethod
    def initial_tangent(self, direction: Direction, out: Arrays) -> None:
        """Write the tangent of the initial state to `out`."""

    @abstractmethod
    def advance_tangent(
        self, direction: Direction, start: int, stop: int, state: Arrays, tangent: Arrays
    ) -> None:
        """Take the tangent from `start` to `stop`, in place, given the state at `start`."""

    @abstractmethod
    def turn_tangent(self, direction: Direction, state: Arrays, tangent: Arrays) -> None:
        """Write the tangents of the adjoint at the end to `direction.adjoint`."""

    @abstractmethod
    def pull_back_tangent(
        self,
        direction: Direction,
        start: int,
        stop: int,
        state: Arrays,
        tangent: Arrays,
        adjoint: Arrays | None,
    ) -> None:
        """Take `direction.adjoint` from `stop` to `start`, and add to the direction's gradient.

        State and tangent are those at `start`; `adjoint` is that at `stop`, None for Gauss-Newton.
        """

    @abstractmethod
    def finish_tangent(self, direction: Direction, adjoint: Arrays | None) -> None:
        """Fold `direction.adjoint` at step 0 into the direction's gradient."""

    def scratch_bytes(self, steps: int) -> int:
        """Return the memory that derivatives of so many steps take meanwhile."""
        del steps
        return 0

    # -- what makes it a second-order stepper ---------------------------------------------------

    def take_directions(self, directions: Mapping[str, Any]) -> None:
        """Go on with other directions, as many as before; those of controls left out are zero."""
        self._directions.take(directions)

    def products(self) -> Mapping[str, NDArray[Any]]:
        """Return this rank's part of the products, the axis of the directions first. Copies."""
        return self._directions.products()

    @property
    def besides_bytes(self) -> int:
        """Memory beside states, tapes and the arrays of the protocol: complex controls."""
        return self._directions.complex_bytes

    def close(self) -> None:  # noqa: B027 (need not be overridden)
        """Leave the inner stepper: nothing of it was exchanged."""

    # -- the protocol -------------------------------------------------------------------------

    @property
    def state(self) -> Arrays:
        """The live state of the inner stepper, and its tangents."""
        return {**self.inner.state, **self._tangents}

    @property
    def adjoint(self) -> Arrays:
        """The live adjoint, unless for Gauss-Newton, and its tangents."""
        own: Arrays = {} if self.gauss_newton else self.inner.adjoint
        return {**own, **self._back}

    @property
    def controls(self) -> Arrays:
        """The controls and the directions."""
        return {**self.inner.controls, **self._directions.controls}

    @property
    def accumulators(self) -> Arrays:
        """The accumulated gradient, and what adds up to the products."""
        return {**self.inner.accumulators, **self._directions.accumulators}

    @property
    def tape_is_first_state(self) -> bool:
        """Whether a leaf is that of the inner stepper, which is recorded anew."""
        return self._unit is not None

    @property
    def distributed(self) -> frozenset[str]:
        """The inner stepper's, and their directions."""
        return self._has.distributed | set(map(tangent_name, self._has.distributed))

    @property
    def per_step(self) -> frozenset[str]:
        """The inner stepper's, and their directions."""
        return self._has.per_step | set(map(tangent_name, self._has.per_step))

    def tape_bytes(self, steps: int, *, kept: bool = False) -> int:
        """Return the memory of the states on a tape, and of pulling back one leaf of them."""
        del kept
        unit = min(steps, self._unit or 1)
        own = 0 if self.gauss_newton else self._has.tape_bytes(unit)
        return -(-steps // unit) * state_bytes(self.state) + own + self.scratch_bytes(unit)

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the inner stepper's, and what is computed."""
        kind = "Gauss-Newton" if self.gauss_newton else "Hessian"
        return {**self._has.fingerprint(), "second order": (kind, self._count)}

    def start(self) -> None:
        """Make state, tangents and accumulators those at step 0."""
        if self._unit is not None and self._has.leaf_sensitive:
            self._has.set_leaf_steps(self._unit)
        self.inner.start()
        for array in self._directions.accumulators.values():
            array[...] = 0
        self._tapes.clear()
        self.tape_memory.begin()
        self._directions.move_controls()
        self.prepare()
        for direction in self._directions.singles:
            self.initial_tangent(direction, self._part(direction, self._tangents))

    def advance(self, start: int, stop: int, *, cost: float | None = None) -> float | None:
        """Take state and tangents from `start` to `stop`."""
        for first, last in self._leaves(start, stop):
            self._advance_tangents(first, last)
            cost = self.inner.advance(first, last, cost=cost)
        return cost

    def record(
        self, start: int, stop: int, *, cost: float | None = None, reach_stop: bool
    ) -> float | None:
        """Do so, and keep the states before each leaf of the inner stepper, or before each step."""
        tape: list[Arrays] = []
        for first, last in self._leaves(start, stop):
            (saved,) = self.tape_memory.take(1)
            copy_arrays(self.state, saved)
            tape.append(saved)
            ends_here = last < stop or reach_stop
            if ends_here:
                self._advance_tangents(first, last)
            if ends_here or cost is not None:
                cost = self.inner.advance(first, last, cost=cost)
        self._tapes[start, stop] = tape
        return cost

    def turn(self, cost: float) -> float:
        """Add the terminal cost; make the adjoint and its tangents those at the end."""
        state = self.inner.state
        for direction in self._directions.singles:
            self.turn_tangent(direction, state, self._part(direction, self._tangents))
        return self.inner.turn(cost)

    def pull_back(self, start: int, stop: int) -> None:
        """Take the adjoint and its tangents from `stop` to `start`."""
        tape = self._tapes.pop((start, stop))
        inner = self.inner
        ranges = list(self._leaves(start, stop))
        for (first, last), saved in zip(reversed(ranges), reversed(tape), strict=True):
            state = {name: saved[name] for name in self._names}
            for direction in self._directions.singles:
                tangent = self._part(direction, saved)
                self.pull_back_tangent(direction, first, last, state, tangent, self._above)
            if not self.gauss_newton:
                copy_arrays(state, inner.state)
                inner.record(first, last, reach_stop=False)
                inner.pull_back(first, last)
        self.tape_memory.give_back(tape)

    def finish(self) -> None:
        """Fold the adjoint at step 0 and its tangents into the accumulators."""
        for direction in self._directions.singles:
            self.finish_tangent(direction, self._above)
        if not self.gauss_newton:
            self.inner.finish()

    def __getattr__(self, name: str) -> Any:
        if name == "leaf_steps" and self._unit is not None:
            return self._unit
        if name in PASSED_ON:
            return getattr(self.inner, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # -- inside -------------------------------------------------------------------------------

    @property
    def _above(self) -> Arrays | None:
        return None if self.gauss_newton else self.inner.adjoint

    def _advance_tangents(self, start: int, stop: int) -> None:
        state = self.inner.state
        for direction in self._directions.singles:
            tangent = self._part(direction, self._tangents)
            self.advance_tangent(direction, start, stop, state, tangent)

    def _part(self, direction: Direction, arrays: Arrays) -> Arrays:
        """Return a direction's part of the tangents of a state."""
        return parts(arrays, direction.index, self._moving)

    def _leaves(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        unit = self._unit or 1
        while start < stop:
            last = min(stop, start - start % unit + unit)
            yield start, last
            start = last


def _zeros(shapes: Mapping[str, tuple[tuple[int, ...], Any]]) -> Arrays:
    return {name: aligned_zeros(shape, dtype) for name, (shape, dtype) in shapes.items()}
