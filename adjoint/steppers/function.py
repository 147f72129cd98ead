"""A stepper made of functions: a step, its transposed derivative, and costs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import StepperError
from adjoint.steppers.held_data import held_arrays
from adjoint.steppers.protocol import Arrays, copy_arrays, state_bytes

__all__ = ["FunctionStepper", "Scratch"]


class Scratch:
    """Memory for tapes that consist of states, allocated when it is first needed and reused.

    States are reused last in, first out, while they are in the cache. Those that a whole run did
    not need are released: a probe may have tried larger leaves than the plan has.

    Parameters
    ----------
    make
        Allocates one state.
    """

    def __init__(self, make: Callable[[], Arrays]) -> None:
        self._make = make
        self._idle: list[Arrays] = []
        self._lent = 0
        self._peak = 0

    def begin(self) -> None:
        """Begin a run. States of the last one that were not given back are forgotten."""
        del self._idle[: max(0, len(self._idle) - self._peak)]
        self._lent = self._peak = 0

    def take(self) -> Arrays:
        """Return a state with arbitrary values."""
        self._lent += 1
        self._peak = max(self._peak, self._lent)
        return self._idle.pop() if self._idle else self._make()

    def give_back(self, states: Sequence[Arrays]) -> None:
        """Give back the states of one tape, in the order in which they were taken."""
        self._lent -= len(states)
        self._idle.extend(reversed(states))


class FunctionStepper(ABC):
    """A `Stepper` made of functions that a subclass writes.

    At least two of them::

        step(k, state, out)                    out = F[k](state)
        step_vjp(k, state, adjoint, gradient)  gradient += (dF/dm)^T adjoint
                                               adjoint = (dF/du)^T adjoint

    and of the others those that the problem has: a cost of each step, a terminal cost, an initial
    state that depends on the controls, each with its derivative.

    All arguments are mappings from name to array, in memory of the stepper or of the driver: write
    only where it says so, and keep no reference. The controls are `self.controls`. `step` must be a
    function of its arguments and the controls alone.

    The tape of a leaf is its states: recording ``n`` steps keeps ``n`` states, ``n - 1`` of them in
    scratch memory that is allocated once. For each step, `pull_back` calls `step_vjp`, then
    `step_cost_vjp`.

    Parameters
    ----------
    state
        The arrays of one state: their names, shapes and dtypes, and the values of ``u[0]``
        unless `initial_state` says otherwise. Copied.
    controls
        What the gradient is with respect to. Not copied: writing to them changes the problem. A
        control whose first axis is the step may be a memory map.
    replay_data
        Names in `state` that have no adjoint: random bits, counters, the time.
    accumulators
        Where the gradients are accumulated; by default new arrays shaped as the controls. Give your
        own for a control too large for memory.

    Raises
    ------
    StepperError
        A name in `replay_data` that is not in `state`, a state without any adjoint, accumulators
        that do not match the controls, or a cost without its derivative.
    """

    reproducible: bool = True

    def __init__(
        self,
        state: Mapping[str, ArrayLike],
        controls: Mapping[str, NDArray[Any]],
        *,
        replay_data: Collection[str] = (),
        accumulators: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        given = set(vars(self))
        self._initial: Arrays = {k: np.array(v, order="C") for k, v in state.items()}
        self._check(replay_data, controls, accumulators)
        self._state = _like(self._initial)
        self._spare = _like(self._initial)
        self._adjoint = _like({k: v for k, v in self._initial.items() if k not in replay_data})
        self._controls: Arrays = dict(controls)
        self._accumulators: Arrays = (
            _like(self._controls) if accumulators is None else dict(accumulators)
        )
        self._scratch = Scratch(partial(_like, self._initial))
        self._tapes: dict[tuple[int, int], list[Arrays]] = {}
        self._not_data = {"_not_data", *vars(self)} - given - {"_initial"}
        """Attributes that are not data of the problem."""

    # -- what a user writes -------------------------------------------------------------------

    @abstractmethod
    def step(self, step: int, state: Arrays, out: Arrays) -> None:
        """Write all of ``u[step+1]`` to `out`, given ``u[step]`` in `state`."""

    @abstractmethod
    def step_vjp(self, step: int, state: Arrays, adjoint: Arrays, gradient: Arrays) -> None:
        """Replace `adjoint` by ``(dF/du)^T adjoint`` and add ``(dF/dm)^T adjoint`` to `gradient`.

        `state` is ``u[step]``. Both products are with the adjoint as it was on entry.
        """

    def step_cost(self, step: int, state: Arrays) -> float:
        """Return this rank's part of ``g[step](u[step], m)``: the driver adds the parts."""
        del step, state
        return 0.0

    def step_cost_vjp(self, step: int, state: Arrays, adjoint: Arrays, gradient: Arrays) -> None:
        """Add ``dg[step]/du`` to `adjoint` and ``dg[step]/dm`` to `gradient`."""

    def terminal_cost(self, state: Arrays) -> float:
        """Return this rank's part of ``G(u[n], m)``: the driver adds the parts."""
        del state
        return 0.0

    def terminal_cost_vjp(self, state: Arrays, adjoint: Arrays, gradient: Arrays) -> None:
        """Add ``dG/du`` to `adjoint`, which is zero on entry, and ``dG/dm`` to `gradient`."""

    def initial_state(self, out: Arrays) -> None:
        """Write ``u[0](m)`` to `out`. By default the state given at construction."""
        copy_arrays(self._initial, out)

    def initial_state_vjp(self, adjoint: Arrays, gradient: Arrays) -> None:
        """Add ``(du[0]/dm)^T adjoint`` to `gradient`."""

    def fingerprint(self) -> Mapping[str, Any]:
        """Return what the result depends on beside the controls: a resumed run finds it unchanged.

        By default the initial state, and every attribute that is an array, or a tuple, list or dict
        of arrays. What a step reads elsewhere (numbers, closures, files) is not seen: add it, as in
        ``{**super().fingerprint(), "rate": self.rate}``. Arrays that steps change do not count.
        """
        return held_arrays(self, leave_out=self._not_data)

    # -- the protocol -------------------------------------------------------------------------

    @property
    def state(self) -> Arrays:
        """The live primal state."""
        return self._state

    @property
    def adjoint(self) -> Arrays:
        """The live adjoint state."""
        return self._adjoint

    @property
    def controls(self) -> Arrays:
        """What the gradient is with respect to."""
        return self._controls

    @property
    def accumulators(self) -> Arrays:
        """The gradients accumulated so far."""
        return self._accumulators

    def tape_bytes(self, steps: int) -> int:
        """Return the memory of the tape of one `record`: its states."""
        return steps * state_bytes(self._initial)

    def adopt(self, arrays: Arrays) -> None:
        """Make the given arrays the live state."""
        self._state = arrays

    def start(self) -> None:
        """Make the state ``u[0]`` and the accumulators zero."""
        self.initial_state(self._state)
        for array in self._accumulators.values():
            array[...] = 0
        self._tapes.clear()
        self._scratch.begin()

    def advance(
        self, start: int, stop: int, *, cost: float | None = None, out: Arrays | None = None
    ) -> float | None:
        """Take the state from `start` to `stop`, ending in `out` if given, else in the same memory.

        Steps alternate between that memory and a spare state, such that the last one ends there.
        """
        home = self._state if out is None else out
        source = self._state
        for k in range(start, stop):
            if cost is not None:
                cost += self.step_cost(k, source)
            target = self._spare if (stop - k) % 2 == 0 else home
            if target is source:
                target = home if source is self._spare else self._spare
            self.step(k, source, target)
            source = target
        if source is not home:
            copy_arrays(source, home)
        self._state = home
        return cost

    def record(
        self, start: int, stop: int, *, cost: float | None = None, reach_stop: bool
    ) -> float | None:
        """Take the state from `start` to `stop`, keeping the states before each step."""
        first = self._state
        if reach_stop:
            first = self._scratch.take()
            copy_arrays(self._state, first)
        tape = [first]
        for k in range(start, stop):
            state = tape[-1]
            if cost is not None:
                cost += self.step_cost(k, state)
            if k + 1 < stop:
                tape.append(self._scratch.take())
                self.step(k, state, tape[-1])
            elif reach_stop:
                self.step(k, state, self._state)
        self._tapes[start, stop] = tape
        return cost

    def turn(self, cost: float) -> float:
        """Add the terminal cost; make the adjoint its derivative."""
        for array in self._adjoint.values():
            array[...] = 0
        self.terminal_cost_vjp(self._state, self._adjoint, self._accumulators)
        return cost + self.terminal_cost(self._state)

    def pull_back(self, start: int, stop: int) -> None:
        """Take the adjoint from `stop` to `start`."""
        tape = self._tapes.pop((start, stop))
        for k in range(stop - 1, start - 1, -1):
            state = tape[k - start]
            self.step_vjp(k, state, self._adjoint, self._accumulators)
            self.step_cost_vjp(k, state, self._adjoint, self._accumulators)
        self._scratch.give_back([state for state in tape if state is not self._state])

    def finish(self) -> None:
        """Fold the adjoint at step 0 into the gradients of initial-state controls."""
        self.initial_state_vjp(self._adjoint, self._accumulators)

    # -- inside -------------------------------------------------------------------------------

    def _check(
        self,
        replay_data: Collection[str],
        controls: Mapping[str, NDArray[Any]],
        accumulators: Mapping[str, NDArray[Any]] | None,
    ) -> None:
        unknown = [name for name in replay_data if name not in self._initial]
        if unknown:
            raise StepperError(f"replay_data names {unknown}, which the state does not have")
        if all(name in replay_data for name in self._initial):
            raise StepperError("the state has no array with an adjoint")
        for name, control in controls.items():
            grown = control if accumulators is None else accumulators.get(name)
            if grown is None or grown.shape != control.shape:
                raise StepperError(
                    f"control {name!r} has shape {control.shape}: its accumulator needs that too"
                )
        for cost in ("step_cost", "terminal_cost"):
            if self._overrides(cost) and not self._overrides(f"{cost}_vjp"):
                raise StepperError(f"{type(self).__name__} has a {cost} but no {cost}_vjp")

    def _overrides(self, name: str) -> bool:
        return getattr(type(self), name) is not getattr(FunctionStepper, name)


def _like(arrays: Arrays) -> Arrays:
    return {name: np.zeros(array.shape, array.dtype) for name, array in arrays.items()}
