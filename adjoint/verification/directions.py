"""Random directions of controls, of states, and of adjoints: those that runs bring about.

A right adjoint is the transposed derivative for changes that a run can undergo, and need be no
more. Entries of a state that are copies of others, or constant, as in ghost cells and on land, do
not change by themselves: the adjoint of a step may add what it owes them to where they come from,
and leave zeros. So a state is moved as runs move it. Its direction is the derivative, by a central
difference, of the state that the step before it computes from a randomly moved state and moved
controls. The initial state is moved by the controls that it depends on; entries that these do not
move have the direction that the first step gives them.

Adjoints are random where both a direction and the adjoints of the run have a value, else zero.
"""

import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import ArgumentError, NonFiniteError, SolveError
from adjoint.parallel import largest
from adjoint.steppers import Arrays
from adjoint.verification.runs import Fields, Runs, Segment, wide

__all__ = ["Directions", "require_fitting"]


def require_fitting(argument: str, given: Any, arrays: Arrays) -> None:
    """Raise `ArgumentError` unless each given value fits the array of its name, and is finite."""
    if not isinstance(given, Mapping):
        raise ArgumentError(f"{argument} is a mapping from name to array, not {given!r}")
    for name, value in cast(Mapping[str, Any], given).items():
        if name not in arrays:
            raise ArgumentError(f"{argument} names {name!r}: there are {sorted(arrays)}")
        try:
            np.broadcast_to(value, arrays[name].shape)
        except ValueError as error:
            raise ArgumentError(f"{argument} of {name!r}: {error}") from None
        if not np.all(np.isfinite(value)):
            raise ArgumentError(f"{argument} of {name!r} is not finite")


class Directions:
    """Random directions, the same in every call with the same keys. All calls are collective.

    Parameters
    ----------
    runs
        What is moved.
    scale
        Of random numbers, by control and by array of the state; see `dot_product_test`.
    seed
        Of the random numbers.
    """

    def __init__(self, runs: Runs, scale: Mapping[str, ArrayLike] | None, seed: int) -> None:
        self.runs, self._scale, self._seed = runs, scale or {}, seed
        state = {name: runs.stepper.state[name] for name in runs.state_names}
        require_fitting("scale", self._scale, {**runs.controls, **state})
        self._seen: dict[str, NDArray[np.bool_]] = {}

    def is_left_out(self, name: str) -> bool:
        """Whether the user's scale of an array is zero throughout, on all ranks."""
        own = name in self._scale and not np.any(self._scale[name])
        return all(self.runs.comm.gather(own))

    def of_control(self, name: str, *key: int) -> Fields:
        """Return a direction of one control: equal on all ranks where the control is."""
        runs = self.runs
        rank = runs.comm.rank if name in runs.has.distributed else None
        return Fields({name: self._draw(name, runs.controls[name], rank, (0, *key))}, {})

    def of_controls(self, *key: int) -> list[tuple[str, Fields]]:
        """Return a direction of each control, by name."""
        return [(f"control {k!r}", self.of_control(k, *key)) for k in self.runs.controls]

    def of_controlled_state(self, *key: int) -> Fields:
        """Return a direction of the initial state, zero where controls do not change it."""
        return Fields({}, self._derivative(Segment(0, 0), *key))

    def of_initial_state(self, first: Segment, *key: int) -> Fields:
        """Return a direction of the initial state, given the first leaf of steps."""
        moved, pushed = self.of_controlled_state(*key).state, self._derivative(first, *key)
        return Fields({}, {k: np.where(moved[k] == 0, pushed[k], moved[k]) for k in moved})

    def of_state_after(self, leaf: Segment, *key: int) -> Fields:
        """Return a direction of the state after a leaf of steps."""
        return Fields({}, self._derivative(leaf, *key))

    def see(self, adjoint: Arrays) -> None:
        """Let later weights have values where this adjoint has."""
        for name in self.runs.state_names:
            self._seen[name] = (adjoint[name] != 0) | self._seen.get(name, False)

    def weights(self, state: Arrays, direction: Fields, leaf: Segment, *key: int) -> Arrays:
        """Return random weights of a state that has this direction, after or before the leaf.

        They are larger where a direction would be smaller.
        """
        noise: dict[str, NDArray[Any]] = {}
        for name, towards in direction.state.items():
            scale = self._scale_of(name, state[name], is_shared=True)
            drawn = self._draw(name, state[name], self.runs.comm.rank, (2, *key))
            is_free = (towards != 0) & (scale != 0)
            inverse = np.divide(1.0, np.square(scale), where=scale != 0, out=np.zeros_like(scale))
            noise[name] = np.where(is_free, drawn * inverse, 0)
        # From another state, so that a stepper is found that reuses what it computed there.
        step = self.runs.precision.short_step
        moved = self._random_state(leaf.state or {}, *key)
        self.see(self.runs.pulled_back(leaf, noise, moved, step).state)
        adjoint = self.runs.stepper.adjoint
        return {k: (self._seen[k] * v).astype(adjoint[k].dtype) for k, v in noise.items()}

    def _derivative(self, segment: Segment, *key: int) -> Arrays:
        """Return the derivative of the state after a segment, as large as that state.

        The controls are moved, and so is the state before it, unless this is the initial state.
        """
        runs, names = self.runs, self.runs.state_names
        random = self._random_state(segment.state or {}, *key)
        for _, direction in self.of_controls(*key):
            random |= direction
        step = runs.precision.short_step
        try:
            plus, minus = (runs.state_after(segment, random, sign * step) for sign in (1, -1))
        except (NonFiniteError, SolveError):
            return {name: np.full(runs.stepper.state[name].shape, np.nan) for name in names}
        moved = {name: wide(plus[name]) - minus[name] for name in names}
        sizes = [self._rms(moved[n]) / (self._size(plus[n]) or 1.0) for n in names]
        size = max(sizes, default=0.0) or 1.0
        return {name: array / size for name, array in moved.items()}

    def _random_state(self, state: Arrays, *key: int) -> Fields:
        names = [name for name in self.runs.state_names if name in state]
        rank = self.runs.comm.rank
        return Fields({}, {n: self._draw(n, state[n], rank, (1, *key)) for n in names})

    def _draw(
        self, name: str, like: NDArray[Any], rank: int | None, key: Sequence[int]
    ) -> NDArray[Any]:
        """Return random numbers of the size of the scale; of all ranks' together, given a rank."""
        own = zlib.crc32(name.encode())
        generator = np.random.default_rng([self._seed, own, *key, rank or 0])
        noise = generator.standard_normal(like.shape)
        if np.iscomplexobj(like):
            noise = noise + 1j * generator.standard_normal(like.shape)
        scale = self._scale_of(name, like, is_shared=rank is not None)
        return noise * (scale / (self._rms(noise, is_shared=rank is not None) or 1.0))

    def _scale_of(self, name: str, like: NDArray[Any], *, is_shared: bool) -> NDArray[np.float64]:
        """Return by what random numbers are multiplied: the user's scale, or the largest value."""
        size = self._size(like) if is_shared else float(np.max(np.abs(like), initial=0.0))
        return np.asarray(self._scale.get(name, size or 1.0), float)

    def _rms(self, array: NDArray[Any], *, is_shared: bool = True) -> float:
        """Return the root of the mean square, on all ranks together if they share the array."""
        squares, size = float(np.vdot(array, array).real), array.size
        if is_shared:
            squares, size = np.sum(self.runs.comm.gather((squares, size)), axis=0)
        return math.sqrt(squares / max(size, 1))

    def _size(self, array: NDArray[Any]) -> float:
        """Return the largest magnitude, on all ranks together."""
        return largest(float(np.max(np.abs(array), initial=0.0)), self.runs.comm)
