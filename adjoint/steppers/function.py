"""A stepper made of functions: a step, its transposed derivative, and costs."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adjoint.errors import StepperError
from adjoint.steppers.held_data import held_arrays
from adjoint.steppers.hooks import explain_read_only, real_number, require_nothing, returned
from adjoint.steppers.mappings import Assignable, StateArrays, named, own_array, zeros_like
from adjoint.steppers.protocol import Arrays, copy_arrays, state_bytes
from adjoint.steppers.scratch import Scratch
from adjoint.steppers.unwritten import mark, require_written

__all__ = ["FunctionStepper"]


class FunctionStepper(ABC):
    """A `Stepper` made of functions that a subclass writes.

    At least two of them::

        step(k, state, out)                    out = F[k](state)
        step_vjp(k, state, adjoint, gradient)  gradient += (dF/dm)^T adjoint
                                               adjoint = (dF/du)^T adjoint

    and of the others those that the problem has: a cost of each step, a terminal cost, an initial
    state that depends on the controls, each with its derivative.

    All arguments are mappings from name to array, in memory of stepper or driver: keep no
    reference. What is to be written can be written in place, ``out["u"][:] = new``, or assigned,
    ``out["u"] = new``: a number, or an array of the same shape, which is copied and cast. It may
    be one of JAX or PyTorch; to add one, write ``adjoint["u"] += np.asarray(new)``. `state`
    is read-only; a class that refreshes ghost cells in it says ``writes_ghosts = True``, and its
    states are then copied to slots. The controls are `self.controls`. `step` must be a function of
    its arguments and the controls alone, and changes neither.

    The tape of a leaf is its states: recording ``n`` steps keeps ``n`` states, the first of them
    where it is, in the live state, unless that must reach the leaf's end. For each step,
    `pull_back` calls `step_vjp`, then `step_cost_vjp`.

    Parameters
    ----------
    state
        The arrays of one state: their names, shapes and dtypes, and the values of ``u[0]``
        unless `initial_state` says otherwise. Copied.
    controls
        What the gradient is with respect to: arrays of floating-point numbers. They are not copied:
        writing to them changes the problem. Numbers and lists are. A control whose first axis is
        the step may be a memory map.
    replay_data
        Names in `state` that have no adjoint: random bits, counters, the time.
    accumulators
        Where the gradients are accumulated; by default new arrays shaped as the controls. Give your
        own for a control too large for memory.

    Raises
    ------
    StepperError
        A name in `replay_data` that is not in `state`, or a function without its derivative, or the
        reverse.
    """

    # `vars` of a stepper are what its class adds. Besides, attributes in slots stay quick to read
    # after a call of `vars`, which makes all others 20 ns slower in CPython 3.12.
    __slots__ = (
        "_accumulators",
        "_adjoint",
        "_controls",
        "_gradient",
        "_has_step_cost",
        "_initial",
        "_is_first",
        "_is_written",
        "_scratch",
        "_spare",
        "_state",
        "_tapes",
        "_writes_ghosts",
    )

    reproducible: bool = True
    needs_last_state: bool = False

    writes_ghosts: bool = False
    """Whether functions may write to the state that they read, to refresh ghost cells in it."""

    def __init__(
        self,
        state: Mapping[str, ArrayLike],
        controls: Mapping[str, ArrayLike],
        *,
        replay_data: Collection[str] = (),
        accumulators: Mapping[str, NDArray[Any]] | None = None,
    ) -> None:
        self._initial: Arrays = {k: own_array(f"state {k!r}", v) for k, v in named("state", state)}
        self._controls: Arrays = {
            # What can be shared is: arrays, memory maps and HDF5 datasets.
            k: v
            if hasattr(v, "shape") and not isinstance(v, np.generic)
            else own_array(f"control {k!r}", v)
            for k, v in named("controls", controls)
        }
        self._allocate(replay_data, accumulators)

    def _allocate(
        self, replay_data: Collection[str], accumulators: Mapping[str, NDArray[Any]] | None
    ) -> None:
        """Make what is computed in, given the shapes of `_initial` and `_controls`."""
        self._check_functions()
        unknown = [name for name in replay_data if name not in self._initial]
        if unknown:
            raise StepperError(f"replay_data names {unknown}, which the state does not have")
        self._state = zeros_like(self._initial)
        self._adjoint = zeros_like({k: v for k, v in self._initial.items() if k not in replay_data})
        self._accumulators = dict(
            zeros_like(self._controls) if accumulators is None else accumulators
        )
        self._gradient = Assignable(self._accumulators)
        self._has_step_cost = self._writes_ghosts = False
        self._is_first = True
        self._is_written = False
        """Whether a first step has written its whole result."""
        self._scratch = Scratch(partial(zeros_like, self._initial))
        self._spare: list[StateArrays] = []
        """What `advance` computes in beside the live state; the next tape may begin in it."""
        self._tapes: dict[tuple[int, int], list[StateArrays]] = {}

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
        """Add ``(du[0]/dm)^T adjoint`` to `gradient`; nothing if ``u[0]`` is fixed."""

    def fingerprint(self) -> Mapping[str, Any]:
        """Return what the result depends on beside the controls: a resumed run finds it unchanged.

        By default the initial state, and every attribute that is an array, or a tuple, list or dict
        of arrays. What a step reads elsewhere (numbers, closures, files) is not seen: add it, as in
        ``{**super().fingerprint(), "rate": self.rate}``. Arrays that steps change do not count.
        """
        return {f"_initial[{k!r}]": v for k, v in self._initial.items()} | held_arrays(self)

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

    def exchange_controls(self, controls: Arrays) -> None:
        """Let `controls` be these arrays, of whatever dtype."""
        self._controls = controls

    @property
    def accumulators(self) -> Arrays:
        """The gradients accumulated so far."""
        return self._accumulators

    def tape_bytes(self, steps: int, *, kept: bool = False) -> int:
        """Return the memory of the tape of one `record`: its states.

        The first is the live state, unless the tape is kept while other steps are taken.
        """
        return (steps if kept else steps - 1) * state_bytes(self._initial)

    @property
    def tape_memory(self) -> Scratch[StateArrays]:
        """Where the states of tapes are."""
        return self._scratch

    def adopt(self, arrays: Arrays) -> None:
        """Make the given arrays the live state."""
        self._state = arrays if type(arrays) is StateArrays else StateArrays(arrays)

    def start(self) -> None:
        """Make the state ``u[0]`` and the accumulators zero."""
        self._gradient = Assignable(self._accumulators)
        for array in self._accumulators.values():
            array[...] = 0
        self._tapes.clear()
        self._scratch.begin()
        self._spare = []
        self._has_step_cost = self._overrides("step_cost") or self._overrides("step_cost_vjp")
        self._writes_ghosts = self.writes_ghosts
        self._is_first = not self._is_written
        self._write("initial_state", "out", self._state)

    def advance(
        self, start: int, stop: int, *, cost: float | None = None, out: Arrays | None = None
    ) -> float | None:
        """Take the state from `start` to `stop`, ending in `out` if given, else in the same memory.

        Steps alternate between that memory and a spare state, such that the last one ends there.
        """
        home = self._state
        if out is not None:
            home = out if type(out) is StateArrays else StateArrays(out)
        if not self._spare:
            self._spare = self._scratch.take(1)
        if self._is_first and start < stop and not self._writes_ghosts:
            first = self._marked([self._state, self._spare[0] if home is self._state else home])
            cost = FunctionStepper.advance(self, start, start + 1, cost=cost, out=home)
            self._is_written |= require_written(first)
            start += 1
        source, target, other = self._state, self._spare[0], home
        if source is not home and (stop - start) % 2:
            target, other = home, target
        ghosts, has_cost = self._writes_ghosts, self._has_step_cost
        try:
            # As in `record`: a call for what is done in each step would cost 5 % of a small one.
            for k in range(start, stop):
                state = source if ghosts else source.read
                if has_cost and cost is not None:
                    added = self.step_cost(k, state)
                    cost += added if type(added) is float else real_number(added, "step_cost()")
                found = self.step(k, state, target)
                if found is not None or target.replaced or source.replaced:
                    self._settle(source, target)
                    require_nothing("step", found, "out")
                source, target, other = target, other, target
        except BaseException as error:  # so that the next run finds all in order
            self._clean_up(error, source, target)
            raise
        if source is not home:
            copy_arrays(source, home)
        self._state = home
        return cost

    def record(
        self, start: int, stop: int, *, cost: float | None = None, reach_stop: bool
    ) -> float | None:
        """Take the state from `start` to `stop`, keeping the states before each step."""
        source, last, tape = self._state, stop - 1, [self._state]
        if reach_stop:
            tape, self._spare = self._spare or self._scratch.take(1), []
            source = tape[0]
            copy_arrays(self._state, source)
        if start < last:
            tape += self._scratch.take(last - start)
        first = self._marked(tape)
        ghosts, has_cost = self._writes_ghosts, self._has_step_cost
        target = self._state
        try:
            for k in range(start, stop if reach_stop or cost is not None else last):
                state = source if ghosts else source.read
                if has_cost and cost is not None:
                    added = self.step_cost(k, state)
                    cost += added if type(added) is float else real_number(added, "step_cost()")
                if k < last:
                    target = tape[k + 1 - start]
                elif reach_stop:
                    target = self._state
                else:
                    break
                found = self.step(k, state, target)
                if found is not None or target.replaced or source.replaced:
                    self._settle(source, target)
                    require_nothing("step", found, "out")
                source = target
        except BaseException as error:  # so that the next run finds all in order
            self._clean_up(error, source, target)
            raise
        self._is_written |= require_written(first)
        self._tapes[start, stop] = tape
        return cost

    def turn(self, cost: float) -> float:
        """Add the terminal cost; make the adjoint its derivative."""
        state = self._state if self._writes_ghosts else self._state.read
        for array in self._adjoint.values():
            array[...] = 0
        self._write("terminal_cost_vjp", "adjoint", state, self._adjoint, self._gradient)
        return cost + real_number(self._call("terminal_cost", state), "terminal_cost()")

    def pull_back(self, start: int, stop: int) -> None:
        """Take the adjoint from `stop` to `start`."""
        tape = self._tapes.pop((start, stop))
        adjoint, gradient, ghosts = self._adjoint, self._gradient, self._writes_ghosts
        k, source, has_cost = stop, self._state, self._has_step_cost
        try:
            for source in reversed(tape):
                k -= 1
                state = source if ghosts else source.read
                found = self.step_vjp(k, state, adjoint, gradient)
                if found is not None:
                    raise returned("step_vjp", found, "adjoint")
                if has_cost:
                    found = self.step_cost_vjp(k, state, adjoint, gradient)
                    if found is not None:
                        raise returned("step_cost_vjp", found, "adjoint")
                if adjoint.replaced or gradient.replaced or source.replaced:
                    self._settle(source)
        except BaseException as error:  # so that the next run finds all in order
            self._clean_up(error, source)
            raise
        if len(tape) > 1 or tape[0] is not self._state:
            self._scratch.give_back(tape)

    def finish(self) -> None:
        """Fold the adjoint at step 0 into the gradients of initial-state controls."""
        self._write("initial_state_vjp", "gradient", self._adjoint, self._gradient)

    # -- inside -------------------------------------------------------------------------------

    def _marked(self, states: Sequence[StateArrays]) -> StateArrays | None:
        """Before the first step, mark the second of these states, which it writes, if there is one.

        A step that refreshes ghost cells writes those of its result in the next step.
        """
        if not self._is_first or self._writes_ghosts or len(states) == 1:
            return None
        self._is_first = False
        mark(states[1])
        return states[1]

    def _call(self, function: str, *arguments: Arrays) -> Any:
        try:
            value = getattr(self, function)(*arguments)
            self._settle()
        except BaseException as error:  # so that the next run finds all in order
            self._clean_up(error)
            raise
        return value

    def _write(self, function: str, written: str, *arguments: Arrays) -> None:
        """Call a function that only writes to arrays, such as to the argument `written`."""
        require_nothing(function, self._call(function, *arguments), written)

    def _settle(self, *states: StateArrays) -> None:
        """Copy what functions have assigned to where it belongs."""
        for arrays in (*states, self._state, self._adjoint, self._gradient):
            arrays.settle()

    def _clean_up(self, error: BaseException, *states: StateArrays) -> None:
        """Do what a failed function leaves to be done; say so if it wrote to what it only reads."""
        self._settle(*states)
        explain_read_only(error)

    def _check_functions(self) -> None:
        for function in ("step_cost", "terminal_cost", "initial_state"):
            pair = sorted((function, f"{function}_vjp"), key=self._overrides)
            if self._overrides(pair[0]) != self._overrides(pair[1]):
                raise StepperError(
                    f"{type(self).__name__} has {pair[1]} but no {pair[0]}: write both, even if "
                    "there is nothing to do in one"
                )

    def _overrides(self, name: str) -> bool:
        own = getattr(FunctionStepper, name)
        return getattr(getattr(self, name), "__func__", None) is not own
