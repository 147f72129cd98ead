"""Runs of a stepper with its controls and states moved along a direction, and pulled back."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import ArgumentError, NonFiniteError, SolveError, StepperError
from adjoint.parallel import Communicator, largest
from adjoint.steppers import Arrays, Capabilities, Stepper
from adjoint.verification.differences import Precision, Samples

__all__ = ["Fields", "InnerProduct", "Runs", "Segment", "together"]

InnerProduct = Callable[[Arrays, Arrays], float]
"""This rank's part of the inner product of two mappings with the same names."""


NUM_REACHED = 4
"""States of a run that `Runs.states_reached` yields: at its end, half, quarter and eighth."""


@dataclass(frozen=True, slots=True)
class Fields:
    """Values of controls and of a state: a point, a direction or a gradient."""

    controls: Arrays
    state: Arrays


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

    All ranks make the same calls. What is returned is the same on all of them.
    """

    def __init__(
        self,
        stepper: Stepper,
        comm: Communicator,
        scale: Mapping[str, ArrayLike] | None,
        inner_product: InnerProduct | None,
        seed: int,
    ) -> None:
        self.stepper, self.comm, self.has = stepper, comm, Capabilities.of(stepper)
        self._scale, self._seed = scale or {}, seed
        self._inner = inner_product or _euclidean
        self._base = {name: np.array(array) for name, array in _differentiable(stepper.controls)}
        groups = stepper.controls, stepper.accumulators, stepper.adjoint
        arrays = [array for group in groups for _, array in _differentiable(group)]
        arrays += [stepper.state[name] for name in self.state_names]
        own = max(float(np.finfo(array.dtype).eps) for array in arrays)
        self.precision = Precision(largest(max(own, float(np.finfo(float).eps)), comm))
        self._frozen: NDArray[np.float64] | None = None
        stepper.start()
        self._accepted = self.has.accepted_steps

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.restore_controls()
        if self._accepted is not None:
            self.has.accept_steps(self._accepted)

    def restore_controls(self) -> None:
        """Set the controls to their values before the test."""
        for name, values in self._base.items():
            self.stepper.controls[name][...] = values

    @property
    def control_names(self) -> list[str]:
        """The controls that have a derivative."""
        return list(self._base)

    @property
    def state_names(self) -> list[str]:
        """The arrays of the state that have an adjoint."""
        return [name for name, _ in _differentiable(self.stepper.adjoint)]

    def slope(self, gradient: Fields, direction: Fields) -> float:
        """Return the derivative along a direction, from this rank's parts of the gradient."""
        return math.fsum(self.comm.gather(self.product(gradient, direction)))

    def accept_present_steps(self) -> None:
        """Let every later run take the steps that this one has accepted."""
        if self._accepted is not None:
            self._frozen = np.array(self.has.accepted_steps)

    def initial_state(self) -> Arrays:
        """Return a copy of the initial state at the present controls."""
        self._start()
        return _copied(self.stepper.state)

    # -- directions ---------------------------------------------------------------------------

    @property
    def has_bound_entries(self) -> bool:
        """Whether the user's scale is zero somewhere in the state: not every entry is free."""
        scales = [np.asarray(self._scale[n], float) for n in self.state_names if n in self._scale]
        return any(self.comm.gather(any(bool((scale == 0).any()) for scale in scales)))

    def states_reached(self, num_steps: int) -> Iterator[Arrays]:
        """Step from the initial state to the end; yield the live state now and then."""
        leaf = self.has.leaf_steps or 1
        ends = {-(-num_steps // (leaf * 2**i)) * leaf for i in range(NUM_REACHED)}
        start = 0
        for end in sorted({min(end, num_steps) for end in ends}):
            self.stepper.advance(start, end)
            start = end
            yield self.stepper.state

    def size_of_control(self, name: str) -> int:
        """Return the number of entries, on all ranks together."""
        size = self._base[name].size
        return sum(self.comm.gather(size)) if name in self.has.distributed else size

    def control_direction(self, name: str, *key: int) -> Fields:
        """Return a random direction of one control: equal on all ranks where the control is."""
        rank = self.comm.rank if name in self.has.distributed else None
        drawn = self._draw(name, self._base[name], rank, (0, self.control_names.index(name), *key))
        return Fields({name: drawn}, {})

    def is_left_out(self, name: str) -> bool:
        """Whether the user's scale of an array is zero throughout, on all ranks."""
        own = name in self._scale and not np.any(self._scale[name])
        return all(self.comm.gather(own))

    def directions_between(
        self, state: Arrays, others: Iterable[Arrays], count: int, *key: int
    ) -> list[Fields]:
        """Return random combinations of the differences between a state and others of the run.

        They respect what holds for every state of a run: copies in ghost cells, zeros on land.
        """
        generator = np.random.default_rng([self._seed, 3, *key])
        names = self.state_names
        totals = [{name: np.zeros_like(_wide(state[name])) for name in names} for _ in range(count)]
        for other in others:
            for total in totals:
                factor = generator.standard_normal()
                for name in names:
                    total[name] += factor * (_wide(other[name]) - state[name])
        return [Fields({}, self._normalised(total, state)) for total in totals]

    def state_direction(self, state: Arrays, *key: int) -> Fields:
        """Return a random direction of the arrays of a state that have an adjoint."""
        rank = self.comm.rank
        return Fields(
            {},
            {
                name: self._draw(name, state[name], rank, (1, index, *key))
                for index, name in enumerate(self.state_names)
            },
        )

    def weights(self, state: Arrays, *key: int) -> Arrays:
        """Return random weights of a state, larger where a direction of it would be smaller."""
        drawn = self.state_direction(state, 2, *key).state
        found: dict[str, NDArray[Any]] = {}
        for name, direction in drawn.items():
            scale = self._scale_of(name, state[name], self.comm.rank)
            with np.errstate(divide="ignore", invalid="ignore"):
                weights = np.where(scale == 0, 0, direction / np.square(scale))
            found[name] = weights.astype(self.stepper.adjoint[name].dtype)
        return found

    def _normalised(self, direction: dict[str, NDArray[Any]], state: Arrays) -> Arrays:
        """Return a multiple, as large as the state; a random direction if it is zero."""
        ratios = [
            largest(float(np.max(np.abs(array), initial=0.0)), self.comm)
            / (largest(float(np.max(np.abs(state[name]), initial=0.0)), self.comm) or 1.0)
            for name, array in direction.items()
        ]
        if max(ratios) == 0:
            return self.state_direction(state).state
        return {name: array / max(ratios) for name, array in direction.items()}

    def _draw(
        self, name: str, like: NDArray[Any], rank: int | None, key: Sequence[int]
    ) -> NDArray[Any]:
        generator = np.random.default_rng([self._seed, *key, rank or 0])
        noise = generator.standard_normal(like.shape)
        if np.iscomplexobj(like):
            noise = noise + 1j * generator.standard_normal(like.shape)
        squares, size = float(np.vdot(noise, noise).real), noise.size
        if rank is not None:
            squares, size = np.sum(self.comm.gather((squares, size)), axis=0)
        return noise * (self._scale_of(name, like, rank) / math.sqrt(squares / max(size, 1) or 1.0))

    def _scale_of(self, name: str, like: NDArray[Any], rank: int | None) -> NDArray[np.float64]:
        """Return by what random numbers are multiplied: the user's scale, or the largest value."""
        if name in self._scale:
            return np.asarray(self._scale[name], float)
        scale = float(np.max(np.abs(like))) if like.size else 0.0
        return np.asarray((scale if rank is None else largest(scale, self.comm)) or 1.0)

    # -- runs ---------------------------------------------------------------------------------

    def sample(
        self, segment: Segment, direction: Fields, gradients: Sequence[Fields], position: float
    ) -> Samples:
        """Return the segment's functions at a point of the direction, summed over ranks.

        `gradients` are theirs: this rank's parts, of which the sum over ranks is taken. A solver
        that does not converge, or finds values that are not finite, gives NaN.
        """
        controls, moved_controls = _moved(self._base, direction.controls, position)
        for name, values in controls.items():
            self.stepper.controls[name][...] = values
        with np.errstate(all="ignore"), self.comm.failing():
            moved_state = self._place(segment, direction.state, position)
            try:
                values = self._functions(segment)
            except (NonFiniteError, SolveError):
                values = [math.nan] * len(gradients)
        self.restore_controls()
        shift = Fields(moved_controls, moved_state)
        predicted = [self.product(gradient, shift) for gradient in gradients]
        totals = [math.fsum(own) for own in zip(*self.comm.gather(values + predicted), strict=True)]
        return Samples(np.array(totals[: len(values)]), np.array(totals[len(values) :]))

    def state_after(self, segment: Segment) -> Arrays:
        """Return a copy of the state at the end of a segment."""
        self._place(segment, {}, 0.0)
        self.stepper.advance(segment.start, segment.stop)
        return _copied(self.stepper.state)

    def refusal_to_turn(self, segment: Segment) -> str:
        """Return why the stepper does not compute its terminal cost there; empty if it does."""
        refusal = ""
        with self.comm.failing():
            self._place(segment, {}, 0.0)
            try:
                self.stepper.turn(0.0)
            except (ArgumentError, StepperError) as error:
                refusal = str(error)
        return next(filter(None, self.comm.gather(refusal)), "")

    def pulled_back(self, segment: Segment, weights: Arrays) -> Fields:
        """Return what the stepper makes of an adjoint at the end of a segment, on this rank.

        With `Segment.turns` it is the derivative of the terminal cost; of no steps, that of the
        initial state.
        """
        stepper, start, stop = self.stepper, segment.start, segment.stop
        with self.comm.failing():
            self._place(segment, {}, 0.0)
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

    def product(self, a: Fields, b: Fields) -> float:
        """Return this rank's part of the inner product over the names of `b`."""
        total = 0.0
        for left, right in ((a.controls, b.controls), (a.state, b.state)):
            names = [name for name in right if name in left]
            if names:
                total += self._inner({k: left[k] for k in names}, {k: right[k] for k in names})
        return total

    def rounding(self, gradient: Fields, direction: Fields, num_steps: int) -> float:
        """Return the round-off in a directional derivative: a random walk in each entry."""
        squares = 0.0
        for g, d in ((gradient.controls, direction.controls), (gradient.state, direction.state)):
            for name in g.keys() & d.keys():
                squares += float(np.square(np.abs(_wide(g[name]) * d[name])).sum())
        total = math.fsum(self.comm.gather(squares))
        return 2 * self.precision.epsilon * math.sqrt(total * max(num_steps, 1))

    def _set_adjoint(self, values: Arrays) -> None:
        for name, array in self.stepper.adjoint.items():
            array[...] = values.get(name, 0)

    def _start(self) -> None:
        self.stepper.start()
        if self._frozen is not None:
            self.has.accept_steps(self._frozen)

    def _place(self, segment: Segment, direction: Arrays, position: float) -> Arrays:
        """Go to the start of a segment, moved; return by how much the state was."""
        stepper, base = self.stepper, segment.state
        if segment.after is None:
            self._start()
        else:
            self._place(segment.after, {}, 0.0)
            stepper.advance(segment.after.start, segment.after.stop)
        if base is None:
            if not direction:
                return {}
            base = {name: stepper.state[name].copy() for name in direction}
        moved, shift = _moved(base, direction, position)
        for name, values in {**base, **moved}.items():
            stepper.state[name][...] = values
        if self.has.restorable is not None:
            self.has.restorable.restored(segment.start)
        return shift

    def _functions(self, segment: Segment) -> list[float]:
        stepper, cost = self.stepper, 0.0
        if segment.start < segment.stop:
            cost = stepper.advance(segment.start, segment.stop, cost=0.0) or 0.0
        if segment.turns:
            cost = stepper.turn(cost)
        if segment.weights is None:
            return [float(cost)]
        names = list(segment.weights)
        state = {name: stepper.state[name] for name in names}
        return [self._inner(segment.weights, state), float(cost)]


def together(directions: Iterable[Fields]) -> Fields:
    """Return the direction in which all of these are taken at once."""
    controls: dict[str, NDArray[Any]] = {}
    state: dict[str, NDArray[Any]] = {}
    for direction in directions:
        controls |= direction.controls
        state |= direction.state
    return Fields(controls, state)


def _moved(base: Arrays, direction: Arrays, position: float) -> tuple[Arrays, Arrays]:
    """Return what was moved, rounded, and by how much it differs from `base`."""
    moved: dict[str, NDArray[Any]] = {}
    shift: dict[str, NDArray[Any]] = {}
    for name, towards in direction.items():
        origin = _wide(base[name])
        moved[name] = (origin + position * towards).astype(base[name].dtype)
        shift[name] = _wide(moved[name]) - origin
    return moved, shift


def _differentiable(arrays: Arrays) -> list[tuple[str, NDArray[Any]]]:
    return [(k, v) for k, v in arrays.items() if np.issubdtype(v.dtype, np.inexact)]


def _copied(arrays: Arrays) -> Arrays:
    return {name: np.array(array) for name, array in arrays.items()}


def _wide(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array in double precision."""
    return np.asarray(array, np.result_type(array.dtype, float))


def _euclidean(a: Arrays, b: Arrays) -> float:
    return math.fsum(float(np.vdot(_wide(a[name]), _wide(b[name])).real) for name in b)
