"""Second-order products of a `FormStepper`: a stepper whose state has tangents as well.

`solvers.fenicsx.tangents` has the mathematics. Beside each array ``"u"`` there is one of its
tangents, ``"u'"``, whose first axis counts the directions; of controls with a row for each step
that axis comes second. A step is solved once, and its operator is used for all directions.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import StepperError
from adjoint.steppers import Arrays, Scratch, aligned_zeros
from adjoint.steppers.second_order import Identity, tangent_name
from solvers.fenicsx.dofs import Array
from solvers.fenicsx.step import Step
from solvers.fenicsx.tangents import CostTangent, EquationTangent, Tangents

__all__ = ["SecondOrderForms"]


class Inner(Protocol):
    """The stepper that is differentiated."""

    @property
    def state(self) -> Arrays: ...
    @property
    def controls(self) -> Arrays: ...
    @property
    def accumulators(self) -> Arrays: ...
    @property
    def distributed(self) -> Collection[str]: ...
    @property
    def reproducible(self) -> bool: ...
    def fingerprint(self) -> Mapping[str, Any]: ...


class SecondOrderForms:
    """An `adjoint.steppers.second_order.SecondOrderStepper`. All methods are collective.

    Controls, and accumulators of the gradient itself, are shared with the stepper it is made of.

    Parameters
    ----------
    inner, step
        The stepper, and its step.
    directions
        By the name of a control, shaped as it with a leading axis; those left out are zero.
    gauss_newton
        Whether to leave out the second derivatives of steps and initial state.

    Raises
    ------
    StepperError
        A misfit has no second derivative.
    """

    needs_last_state: bool = True
    identities: Sequence[Identity] = ()
    """None: all derivatives are UFL's."""
    besides_bytes: int = 0

    def __init__(
        self, inner: Inner, step: Step, directions: Mapping[str, Any], *, gauss_newton: bool
    ) -> None:
        given, controls = step.given, step.given.controls
        for misfit in given.misfits:
            if not hasattr(misfit, "add_curvature"):
                raise StepperError(
                    f"the misfit {type(misfit).__name__} has no second derivative: write "
                    "add_curvature(k, tangent, out), which adds it times the tangent to out"
                )
        self._inner, self._step, self._gauss_newton = inner, step, gauss_newton
        self.problem_name = "second-order products of FormStepper"
        self._count = len(next(iter(directions.values())))
        self._names, self._rows = list(inner.state), list(given.rows)
        self._set_up_forms()
        size = inner.state["u"].size
        tangents = {tangent_name(n): aligned_zeros((self._count, size)) for n in self._names}
        self._state: Arrays = {n: aligned_zeros(size) for n in self._names} | tangents
        moving = [*([] if gauss_newton else self._names), *tangents]
        self._adjoint: Arrays = {n: aligned_zeros(self._state[n].shape) for n in moving}
        self._directions = {n: self._tangents_of(n, a) for n, a in inner.controls.items()}
        self._products = {n: self._tangents_of(n, a) for n, a in inner.controls.items()}
        self._fixed = [name for name in controls if name not in self._rows]
        self.tape_memory = Scratch(self._made)
        """Where the vectors of tapes are."""
        self._new: Arrays = self._made()
        self._tapes: dict[int, Sequence[Arrays]] = {}
        self._reached = 0
        self.take_directions(directions)

    def _set_up_forms(self) -> None:
        """Derive and compile the forms of tangents."""
        step, given = self._step, self._step.given
        self._tangents = Tangents([given.unknown, *given.previous, *given.controls.values()])
        self._along = EquationTangent(
            step.equation,
            step.running,
            given.controls,
            self._tangents,
            gauss_newton=self._gauss_newton,
        )
        by_unknown = {"u": given.unknown}
        self._cost = CostTangent(step.running, self._tangents, by_unknown, step.equation)
        levels = dict(enumerate([given.unknown, *given.previous[:-1]]))
        by = {**levels, **given.controls}
        self._terminal = CostTangent(step.final, self._tangents, by, step.equation)
        self._initial = step.initial.along(self._tangents, gauss_newton=self._gauss_newton)
        self._uses = step.reverse_uses | self._along.uses | self._cost.uses

    def _made(self) -> Arrays:
        size = self._inner.state["u"].size
        return {"u": aligned_zeros(size), "u'": aligned_zeros((self._count, size))}

    def _tangents_of(self, name: str, array: Array) -> Array:
        shape = array.shape
        count = self._count
        return aligned_zeros(
            (shape[0], count, *shape[1:]) if name in self._rows else (count, *shape)
        )

    # -- what makes it a second-order stepper ---------------------------------------------------

    def take_directions(self, directions: Mapping[str, Any]) -> None:
        """Go on with other directions, as many as before; those of controls left out are zero."""
        for name, tangents in self._directions.items():
            given = np.asarray(directions.get(name, 0.0))
            is_rows = name in self._rows and name in directions
            tangents[...] = np.moveaxis(given, 0, 1) if is_rows else given

    def products(self) -> Mapping[str, NDArray[Any]]:
        """Return this rank's part of the products, the axis of the directions first. Copies."""
        return {
            name: (np.moveaxis(a, 1, 0) if name in self._rows else a).copy()
            for name, a in self._products.items()
        }

    def close(self) -> None:
        """Do nothing: the inner stepper is as it was."""

    # -- the protocol -------------------------------------------------------------------------

    @property
    def state(self) -> Arrays:
        """The live state, and its tangents."""
        return self._state

    @property
    def adjoint(self) -> Arrays:
        """The live adjoint, unless these are Gauss-Newton products, and its tangents."""
        return self._adjoint

    @property
    def controls(self) -> Arrays:
        """The controls, and the directions."""
        return {**self._inner.controls, **_primed(self._directions)}

    @property
    def accumulators(self) -> Arrays:
        """The accumulated gradients, and products."""
        return {**self._inner.accumulators, **_primed(self._products)}

    @property
    def distributed(self) -> Collection[str]:
        """The controls that are Functions, and their directions."""
        own = self._inner.distributed
        return [*own, *map(tangent_name, own)]

    @property
    def per_step(self) -> Collection[str]:
        """The controls with a row for each step, and their directions."""
        return [*self._rows, *map(tangent_name, self._rows)]

    @property
    def reproducible(self) -> bool:
        """Whether steps taken again have the same bits."""
        return self._inner.reproducible

    def tape_bytes(self, steps: int) -> int:
        """Return the memory of the tape of `steps` steps: every level of time once."""
        return (steps + len(self._names)) * sum(array.nbytes for array in self._new.values())

    def fingerprint(self) -> Mapping[str, Any]:
        """Return that of the inner stepper, and what is added to it."""
        kind = "Gauss-Newton" if self._gauss_newton else "Hessian"
        return {**self._inner.fingerprint(), "second order": (kind, self._count)}

    def start(self) -> None:
        """Set the state and its tangents from the controls, and the accumulators to zero."""
        self._step.begin()
        for products in self._products.values():
            products[...] = 0
        levels = self._levels(self._state)
        self._step.initial.write([level["u"] for level in levels])
        for i in range(self._count):
            self._direct(i, 0)
            self._initial.write([level["u'"][i] for level in levels])
        self._tapes.clear()
        self.tape_memory.begin()
        self._reached = 0

    def advance(self, start: int, stop: int, *, cost: float | None = None) -> float | None:
        """Advance the state from `start` to `stop`."""
        levels, new = self._levels(self._state), self._new
        for k in range(start, stop):
            cost = self._take(k, levels, new, cost)
            for older, newer in pairwise(reversed(levels)):
                _copy(newer, older)
            _copy(new, levels[0])
        self._reached = stop
        return cost

    def record(
        self, start: int, stop: int, *, cost: float | None = None, reach_stop: bool
    ) -> float | None:
        """Advance the state from `start` to `stop`, keeping every level of time."""
        levels = self._levels(self._state)
        count = len(levels)
        tape = self.tape_memory.take(count + stop - start)
        for place, level in enumerate(levels):
            _copy(level, tape[count - 1 - place])
        for k in range(start, stop):
            cost = self._take(k, self._levels_in(tape, k - start), tape[count + k - start], cost)
        if reach_stop:
            for level, kept in zip(levels, self._levels_in(tape, stop - start), strict=True):
                _copy(kept, level)
        self._tapes[start] = tape
        self._reached = stop
        return cost

    def turn(self, cost: float) -> float:
        """Add the terminal cost, and set the adjoint and its tangents to its derivatives."""
        step = self._step
        step.cost.require_within(self._reached)
        step.load(max(0, self._reached - 1))
        levels, adjoints = self._levels(self._state), self._levels(self._adjoint)
        step.load_end(step.terminal.uses | self._terminal.uses, [each["u"] for each in levels])
        for array in self._adjoint.values():
            array[:] = 0
        if not self._gauss_newton:
            own = [each["u"] for each in adjoints]
            step.terminal.add_gradient(own, step.controls.gradient)
        functions = [step.given.unknown, *step.given.previous[:-1]]
        for i in range(self._count):
            for function, level in zip(functions, levels, strict=True):
                self._tangents.load(function, level["u'"][i])
            self._direct(i, max(0, self._reached - 1))
            for place, each in enumerate(adjoints):
                self._terminal.add(place, each["u'"][i])
            for name in self._fixed:
                self._terminal.add(name, self._products[name][i, ...])
        return cost + step.terminal.value()

    def pull_back(self, start: int, stop: int) -> None:
        """Pull the adjoint and its tangents back from `stop` to `start`."""
        step, tape = self._step, self._tapes.pop(start)
        for k in reversed(range(start, stop)):
            step.load(k)
            levels, after = self._levels_in(tape, k - start), tape[len(self._names) + k - start]
            step.load_used(self._uses, after["u"], [level["u"] for level in levels])
            self._pull_back_primal(k)
            for i in range(self._count):
                self._pull_back_tangent(k, i, levels, after)
            if not self._gauss_newton:
                own = [each["u"] for each in self._levels(self._adjoint)]
                _shift(own)
                for place, array in enumerate(own):
                    step.transpose.add_to_level(place, array)
        self.tape_memory.give_back(tape)

    def finish(self) -> None:
        """Add the derivatives by the initial state to gradients and products."""
        self._step.load(0)
        adjoints = self._levels(self._adjoint)
        if not self._gauss_newton:
            own = [each["u"] for each in adjoints]
            self._step.initial.add_gradient(own, self._step.controls.gradient)
        for i in range(self._count):
            self._direct(i, 0)
            products = {name: self._products[name][i, ...] for name in self._fixed}
            self._initial.add_product([each["u'"][i] for each in adjoints], products)

    # -- inside -------------------------------------------------------------------------------

    def _take(self, k: int, levels: Sequence[Arrays], after: Arrays, cost: float | None) -> Any:
        """Take step `k` with its tangents; return the total cost, if it is wanted."""
        step, own = self._step, [level["u"] for level in levels]
        cost = step.take(k, own, after["u"], cost)
        if not step.equation.needs_states:
            step.load_used(self._along.uses, after["u"], own)
        step.equation.matrix.renew()
        for i in range(self._count):
            self._direct(i, k)
            for function, level in zip(step.given.previous, levels, strict=True):
                self._tangents.load(function, level["u'"][i])
            self._along.solve(after["u'"][i], k)
        return cost

    def _direct(self, i: int, k: int) -> None:
        """Load direction `i` of the controls, in step `k`."""
        for name, holder in self._step.given.controls.items():
            place = (k, i, ...) if name in self._rows else (i, ...)
            self._tangents.load(holder, self._directions[name][place])

    def _pull_back_primal(self, k: int) -> None:
        """Solve for the multiplier of step `k`, unless these are Gauss-Newton products."""
        step = self._step
        if self._gauss_newton:
            step.equation.matrix.renew()
        else:
            adjoint = self._adjoint["u"]
            step.cost.add_gradient(k, adjoint)
            step.transpose.solve(adjoint, step.controls.gradient_of(k), k)

    def _pull_back_tangent(self, k: int, i: int, levels: Sequence[Arrays], after: Arrays) -> None:
        """Pull the tangent of the adjoint along direction `i` back over step `k`."""
        unknown = self._step.given.unknown
        self._direct(i, k)
        for function, level in zip(self._step.given.previous, levels, strict=True):
            self._tangents.load(function, level["u'"][i])
        self._tangents.load(unknown, after["u'"][i])
        backs = [each["u'"][i] for each in self._levels(self._adjoint)]
        self._cost.add("u", backs[0])
        self._step.cost.add_curvature(k, self._tangents.of(unknown).x.array, backs[0])
        products: dict[str, Array] = {}
        for name, array in self._products.items():
            products[name] = array[(k, i, ...) if name in self._rows else (i, ...)]
            if name in self._rows:
                products[name][...] = 0
        self._along.pull_back(backs[0], products, k)
        _shift(backs)
        for place, array in enumerate(backs):
            self._along.add_to_level(place, array)

    def _levels(self, arrays: Arrays) -> list[Arrays]:
        """Return each level, newest first, with its tangents."""
        names = [(name, tangent_name(name)) for name in self._names]
        return [
            {"u'": arrays[prime], **({"u": arrays[name]} if name in arrays else {})}
            for name, prime in names
        ]

    def _levels_in(self, tape: Sequence[Arrays], step: int) -> list[Arrays]:
        """Return the levels before a step of a tape, newest first."""
        return [tape[step + place] for place in reversed(range(len(self._names)))]


def _primed(arrays: Mapping[str, Array]) -> Arrays:
    return {tangent_name(name): array for name, array in arrays.items()}


def _copy(source: Arrays, target: Arrays) -> None:
    for name, array in target.items():
        array[:] = source[name]


def _shift(adjoints: Sequence[Array]) -> None:
    """Let the adjoint of each level be that of the next older one, and of the oldest zero."""
    for newer, older in pairwise(adjoints):
        newer[:] = older
    adjoints[-1][:] = 0
