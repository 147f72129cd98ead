"""`FormStepper`: the stepper of a UFL residual.

The residual ``F(u; u_0, u_1, ...; m)[v]`` of one step is zero at the new state ``u``, where ``u_0``
is the state before, ``u_1`` the one before that, and ``m`` are the controls. Its adjoint takes one
solve with the transpose of ``∂F/∂u``; see `solvers.fenicsx.transpose`. All derivatives come from
UFL, of forms whose quadrature is pinned first (`solvers.fenicsx.forms.pinned`).
"""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import ufl
from numpy.typing import ArrayLike

from adjoint.steppers import Arrays, Scratch, aligned_zeros
from solvers.fenicsx.checks import Given, check_on_all_ranks
from solvers.fenicsx.costs import Misfit
from solvers.fenicsx.dofs import Array, load, owned_size
from solvers.fenicsx.fingerprint import digest_of, fingerprint_of
from solvers.fenicsx.second_order import SecondOrderForms
from solvers.fenicsx.step import Step

__all__ = ["FormStepper"]


class FormStepper:
    """A time step given by a UFL form, as an `adjoint.Stepper`.

    The kind of problem is read off the form. Where all derivatives by the unknown and the levels
    are free of them, matrices are kept, and no form is assembled in a step. Where the unknown
    enters linearly, a step takes one linear solve; otherwise PETSc's SNES solves it. What is made
    from coefficients is made again where their bits have changed.

    All methods are collective on the communicator of the mesh. The state holds, for each level of
    time, the dofs that this rank owns: ``u``, and ``u_1``, … where a step needs more than one.

    Parameters
    ----------
    residual
        The residual of one step: a form with one TestFunction.
    unknown
        The Function for the new state. A run overwrites it.
    previous
        The Function for the state before; or several, newest first, for a scheme that needs more
        than one. A run overwrites them.
    controls
        Functions and Constants to differentiate by; `controls` is their own memory. A control may
        enter the residual, the costs and the equation of the initial state, be the initial state,
        or be the value of a Dirichlet condition. What Python computes from it is not
        differentiated.
    bcs
        Dirichlet conditions, on the space of the unknown or its sub-spaces.
    initial
        The initial state: a Function in the space of the unknown, which all levels begin with; one
        for each level; or the residual of an equation for the unknown, solved with the same
        conditions, the first guess being what the unknown holds now. By default the levels begin
        with what `previous` hold now.
    before_step
        ``before_step(k)`` sets Constants and Functions that are not controls for step `k`. It must
        depend on `k` alone: it is called again when the step is repeated or reversed.
    per_step
        For controls with values of each step, an array with a row for each step: the shape of a
        Constant, or the dofs of a Function that this rank owns. The array is the control.
    running_cost
        The cost of a step: a form in the unknown (the state after it), `previous`, controls, data.
    terminal_cost
        The cost of the end: such a form, in which the unknown is the last state, and `previous`
        without the oldest are those before it.
    misfits
        `PointMisfit` objects, or others with the same `steps`, `value` and `add_gradient`.
    options_prefix
        Of PETSc's options of SNES and KSP. That of an initial equation ends in ``initial_``. The
        default is a factorisation, by MUMPS for mixed elements and on several ranks.
    quadrature_degree
        Of all integrals that state none. By default that of DOLFINx for the residual and for each
        cost. Derivatives are integrated by the same rule.

    Raises
    ------
    StepperError
        Forms, Functions and conditions that do not fit together; a control that enters nothing. On
        all ranks.
    ArgumentError
        `per_step` names no control, or has rows of another shape.
    """

    needs_last_state: bool = True
    """A step is reversed from its own result, so the last step of a leaf is taken in any case."""

    def __init__(
        self,
        residual: Any,
        unknown: Any,
        previous: Any,
        *,
        controls: Mapping[str, Any],
        bcs: Sequence[Any] = (),
        initial: Any = None,
        before_step: Callable[[int], object] | None = None,
        per_step: Mapping[str, ArrayLike] | None = None,
        running_cost: Any = None,
        terminal_cost: Any = None,
        misfits: Sequence[Misfit] = (),
        options_prefix: str = "",
        quadrature_degree: int | None = None,
    ) -> None:
        levels = _listed(previous)
        rows = {name: np.ascontiguousarray(a, dtype=float) for name, a in (per_step or {}).items()}
        given = Given(
            residual=residual,
            unknown=unknown,
            previous=levels,
            controls=dict(controls),
            bcs=list(bcs),
            initial=initial if initial is None or _is_form(initial) else _listed(initial),
            rows=rows,
            running_cost=running_cost,
            terminal_cost=terminal_cost,
            misfits=list(misfits),
        )
        check_on_all_ranks(given)
        self._step = Step(given, before_step, options_prefix, quadrature_degree)
        self._names = ("u", *(f"u_{place}" for place in range(1, len(levels))))
        self._digest = digest_of(unknown.function_space)
        size = owned_size(unknown.function_space)
        self._state: Arrays = {name: aligned_zeros(size) for name in self._names}
        self._adjoint: Arrays = {name: aligned_zeros(size) for name in self._names}
        self._new = aligned_zeros(size)
        self.tape_memory = Scratch(lambda: {"u": aligned_zeros(size)})
        """Where the vectors of tapes are."""
        self._tapes: dict[int, Sequence[Arrays]] = {}
        self._reached = 0

    # -- the protocol -------------------------------------------------------------------------

    @property
    def state(self) -> Arrays:
        """The live state: the owned dofs of each level, ``u``, ``u_1``, …, newest first."""
        return self._state

    @property
    def adjoint(self) -> Arrays:
        """The live adjoint."""
        return self._adjoint

    @property
    def controls(self) -> Arrays:
        """The controls, in the memory of their Functions and Constants, and of ``per_step``."""
        return self._step.controls.arrays

    @property
    def accumulators(self) -> Arrays:
        """The accumulated gradients."""
        return self._step.controls.gradient

    @property
    def distributed(self) -> Collection[str]:
        """The controls that are Functions: every rank holds the dofs it owns."""
        return self._step.controls.distributed

    @property
    def per_step(self) -> Collection[str]:
        """The controls with a row for each step."""
        return tuple(self._step.controls.rows)

    def tape_bytes(self, steps: int) -> int:
        """Return the memory of the tape of `steps` steps: every level of time once."""
        return (steps + len(self._names)) * self._new.nbytes

    @property
    def reproducible(self) -> bool:
        """Whether steps taken again have the same bits: that depends on the solvers.

        False with multigrid, and on several ranks with MUMPS or SuperLU_DIST; True on several ranks
        with the preconditioners ``redundant``, ``bjacobi`` and ``jacobi``.
        """
        return self._step.equation.reproducible and self._step.initial.reproducible

    def fingerprint(self) -> dict[str, Any]:
        """Return forms, mesh, partition, and the data that are not controls."""
        return fingerprint_of(self._step.given, self._digest, self._step.initial.values)

    def start(self) -> None:
        """Set the state from the controls, and the accumulators to zero."""
        self._step.begin()
        self._step.initial.write(list(self._state.values()))
        self._tapes.clear()
        self.tape_memory.begin()
        self._reached = 0

    def adopt(self, arrays: Arrays) -> None:
        """Make the given arrays the live state."""
        self._state = arrays

    def advance(
        self, start: int, stop: int, *, cost: float | None = None, out: Arrays | None = None
    ) -> float | None:
        """Advance the state from `start` to `stop`, in place or into `out`."""
        before, home = self._levels(self._state), self._state if out is None else out
        after = self._levels(home)
        self._state = home
        for k in range(start, stop):
            if len(after) == 1:
                cost = self._step.take(k, before, after[0], cost)
            else:
                cost = self._step.take(k, before, self._new, cost)
                for older in reversed(range(1, len(after))):
                    after[older][:] = before[older - 1]
                after[0][:] = self._new
            before = after
        if before is not after:
            for array, given in zip(after, before, strict=True):
                array[:] = given
        self._reached = stop
        return cost

    def record(
        self, start: int, stop: int, *, cost: float | None = None, reach_stop: bool
    ) -> float | None:
        """Advance the state from `start` to `stop`, keeping every level of time."""
        state = self._levels(self._state)
        count = len(state)
        tape = self.tape_memory.take(count + stop - start)
        for place, level in enumerate(state):
            tape[count - 1 - place]["u"][:] = level
        for k in range(start, stop):
            levels = self._levels_in(tape, k - start)
            cost = self._step.take(k, levels, tape[count + k - start]["u"], cost)
        if reach_stop:
            for level, kept in zip(state, self._levels_in(tape, stop - start), strict=True):
                level[:] = kept
        self._tapes[start] = tape
        self._reached = stop
        return cost

    def turn(self, cost: float) -> float:
        """Add the terminal cost, and set the adjoint to its derivative.

        Raises
        ------
        ArgumentError
            A misfit looks at a state after the end of the run.
        """
        step = self._step
        step.cost.require_within(self._reached)
        step.load(max(0, self._reached - 1))
        step.load_end(step.terminal.uses, self._levels(self._state))
        adjoints = self._levels(self._adjoint)
        for array in adjoints:
            array[:] = 0
        step.terminal.add_gradient(adjoints, step.controls.gradient)
        return cost + step.terminal.value()

    def pull_back(self, start: int, stop: int) -> None:
        """Pull the adjoint back from `stop` to `start`. No primal equation is solved."""
        step, tape = self._step, self._tapes.pop(start)
        adjoints = self._levels(self._adjoint)
        for k in reversed(range(start, stop)):
            step.load(k)
            levels = self._levels_in(tape, k - start)
            step.load_used(step.reverse_uses, tape[len(adjoints) + k - start]["u"], levels)
            step.cost.add_gradient(k, adjoints[0])
            step.transpose.solve(adjoints[0], step.controls.gradient_of(k), k)
            for newer, older in pairwise(adjoints):
                newer[:] = older
            adjoints[-1][:] = 0
            for place, array in enumerate(adjoints):
                step.transpose.add_to_level(place, array)
        self.tape_memory.give_back(tape)

    def finish(self) -> None:
        """Add the derivatives by the initial state to the gradients."""
        self._step.load(0)
        self._step.initial.add_gradient(self._levels(self._adjoint), self.accumulators)

    def second_order(
        self, directions: Mapping[str, Any], *, gauss_newton: bool = False
    ) -> SecondOrderForms:
        """Return a stepper for second-order products, for `Functional.second_order`.

        Raises
        ------
        StepperError
            A misfit has no `add_curvature`.
        """
        return SecondOrderForms(self, self._step, directions, gauss_newton=gauss_newton)

    # -- beside the protocol ------------------------------------------------------------------

    def trajectory(self, num_steps: int) -> Generator[tuple[int, Any], None, None]:
        """Run from the controls; yield each step ``0 … num_steps`` and the unknown with its state.

        The ghosts of the unknown are up to date, so that it can be written to a file or drawn; the
        next iteration overwrites it. Collective.
        """
        self.start()
        for k in range(num_steps + 1):
            load(self._step.given.unknown, self._levels(self._state)[0])
            yield k, self._step.given.unknown
            if k < num_steps:
                self.advance(k, k + 1)

    # -- inside -------------------------------------------------------------------------------

    def _levels(self, arrays: Arrays) -> list[Array]:
        return [arrays[name] for name in self._names]

    def _levels_in(self, tape: Sequence[Arrays], step: int) -> list[Array]:
        """Return the levels before a step of a tape, newest first."""
        return [tape[step + place]["u"] for place in reversed(range(len(self._names)))]


def _listed(given: Any) -> list[Any]:
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _is_form(given: Any) -> bool:
    return isinstance(given, ufl.Form)
