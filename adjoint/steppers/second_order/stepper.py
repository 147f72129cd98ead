"""A stepper around a `FunctionStepper`: its run, and the run's derivative along some directions.

With ``u[k+1] = F[k](u[k], m)``, the tangents ``u'`` along the direction ``m'`` and the tangents
``w'`` of the adjoint ``w`` obey, with subscripts for derivatives::

    u'[0] = u0' m';              u'[k+1] = F_u u' + F_m m'
    w'[n] = G_uu u' + G_um m';   w'[k] = F_u^T w'[k+1] + (F_uu u' + F_um m')^T w[k+1]
                                         + g_uu u' + g_um m'
    Hv += F_m^T w'[k+1] + (F_mu u' + F_mm m')^T w[k+1] + g_mu u' + g_mm m'
    Hv += G_mu u' + G_mm m'  at the end,  u0'^T w'[0] + (u0'' m')^T w[0]  at the start

(Griewank and Walther 2008, doi:10.1137/1.9780898717761, section 5.4). State, adjoint and controls
of the inner stepper with their tangents are those of another stepper: it can be checkpointed,
written to a file and resumed as any other. A Gauss-Newton product leaves out all terms with ``w``;
then the state of the inner stepper is replay data.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.steppers.capabilities import Capabilities
from adjoint.steppers.function import FunctionStepper
from adjoint.steppers.mappings import Assignable, StateArrays
from adjoint.steppers.protocol import Arrays
from adjoint.steppers.second_order.complex_step import complex_is_reproducible
from adjoint.steppers.second_order.derivatives import Derivatives
from adjoint.steppers.second_order.directions import Direction, parts, tangent_name
from adjoint.steppers.second_order.hooks import invoke, is_written
from adjoint.steppers.second_order.identities import Identities, Identity, steps_to_check

__all__ = ["SecondOrderOfFunctions"]

PASSED_ON = ("first_non_finite", "leaf_steps")
"""Optional attributes of the inner stepper that hold here as well."""


class SecondOrderOfFunctions(FunctionStepper):
    """Second-order products of a `FunctionStepper`, along a number of directions at once.

    State, adjoint, controls and accumulators are those of the inner stepper and, for each name
    ``"u"`` of them, the tangents ``"u'"``. The inner stepper's controls and accumulators are shared
    with it; nobody else may step it until the run has ended. Where derivatives are taken by complex
    step, all tangents, and what adds up to the products, are scaled by a power of two.

    Parameters
    ----------
    inner
        Whose cost is differentiated. Derivatives that its class has not are taken by complex step.
    directions
        By the name of a control, shaped as it with a leading axis. Those of other controls are
        zero. Copied.
    gauss_newton
        Whether to leave out the curvature of steps and initial state.

    Raises
    ------
    StepperError
        As `Derivatives` does.
    """

    def __init__(
        self, inner: FunctionStepper, directions: Mapping[str, Any], *, gauss_newton: bool = False
    ) -> None:
        self._derivatives = Derivatives(inner, gauss_newton=gauss_newton)
        has = Capabilities.of(inner)
        self._inner, self._gauss_newton = inner, gauss_newton
        self._names, self._moving = list(inner.state), list(inner.adjoint)
        self.problem_name = f"second-order products of {has.problem_name}"
        self.reproducible, self.writes_ghosts = has.reproducible, has.writes_ghosts
        if any(self._derivatives.is_complex.values()):
            self.reproducible &= complex_is_reproducible()
        self.distributed = has.distributed | set(map(tangent_name, has.distributed))
        self.per_step = has.per_step | set(map(tangent_name, has.per_step))
        self._count = len(next(iter(directions.values())))
        self._directions = self._derivatives.directions(self._count)
        shaped = {**inner.state, **self._directions.tangents(inner.adjoint)}
        self._initial = {
            k: np.broadcast_to(np.empty((), a.dtype), a.shape) for k, a in shaped.items()
        }
        self._own_controls = inner.controls
        self._controls = {**inner.controls, **self._directions.controls}
        replay_data = [n for n in self._names if gauss_newton or n not in self._moving]
        self._allocate(replay_data, {**inner.accumulators, **self._directions.accumulators})
        self._back = Assignable({n: a for n, a in self._adjoint.items() if n in self._names})
        self._above: Arrays = StateArrays(self._back).read
        """The adjoint after a step, to be read."""
        self._directions.lay_out(self._adjoint)
        self._along = self._derivatives.along(self._directions)
        self.identities: Sequence[Identity] = ()
        """Of the derivatives, evaluated in the first run's reverse sweep: this rank's parts."""
        self._testing: Identities | None = None
        self._tested_steps: Collection[int] = ()
        self.take_directions(directions)

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

    def close(self) -> None:
        """Give the inner stepper its controls back: an interrupt may have left complex ones."""
        self._inner.exchange_controls(self._own_controls)

    # -- the functions of a stepper -------------------------------------------------------------

    def initial_state(self, out: Arrays) -> None:
        primal = self._written(out)
        invoke(self._inner.initial_state, "out", (primal,), primal)
        for name in self._moving:
            out[tangent_name(name)][...] = 0
        for direction, derivative in self._along["initial_state"]:
            derivative(direction, self._part(direction, out))

    def initial_state_vjp(self, adjoint: Arrays, gradient: Arrays) -> None:
        del adjoint, gradient
        for direction, derivative in self._along["initial_state_vjp"]:
            derivative(direction, self._above)
        if not self._gauss_newton:
            grown = self._gradient_itself
            invoke(self._inner.initial_state_vjp, "gradient", (grown,), self._back, grown)

    def step(self, step: int, state: Arrays, out: Arrays) -> None:
        primal, after = self._read(state), self._written(out)
        invoke(self._inner.step, "out", (after,), step, primal, after)
        for direction, derivative in self._along["step"]:
            tangent, written = self._part(direction, state), self._part(direction, out)
            derivative(direction, step, primal, tangent, written)

    def step_vjp(self, step: int, state: Arrays, adjoint: Arrays, gradient: Arrays) -> None:
        del adjoint, gradient
        primal = self._read(state)
        if step in self._tested_steps and self._testing is not None:
            self._testing.of_step(step, primal, self._first(state), self._first_adjoint)
        for direction, derivative in self._along["step_vjp"]:
            derivative(direction, step, primal, self._above, self._part(direction, state))
        self._pull_back(self._inner.step_vjp, step, primal)

    def step_cost(self, step: int, state: Arrays) -> float:
        return self._inner.step_cost(step, self._read(state))

    def step_cost_vjp(self, step: int, state: Arrays, adjoint: Arrays, gradient: Arrays) -> None:
        del adjoint, gradient
        primal = self._read(state)
        for direction, derivative in self._along["step_cost_vjp"]:
            derivative(direction, step, primal, self._part(direction, state))
        self._pull_back(self._inner.step_cost_vjp, step, primal)

    def terminal_cost(self, state: Arrays) -> float:
        return self._inner.terminal_cost(self._read(state))

    def terminal_cost_vjp(self, state: Arrays, adjoint: Arrays, gradient: Arrays) -> None:
        del adjoint, gradient
        primal = self._read(state)
        for direction, derivative in self._along["terminal_cost_vjp"]:
            derivative(direction, primal, self._part(direction, state))
        self._pull_back(self._inner.terminal_cost_vjp, primal)

    def fingerprint(self) -> Mapping[str, Any]:
        kind = "Gauss-Newton" if self._gauss_newton else "Hessian"
        return {**self._inner.fingerprint(), "second order": (kind, self._count)}

    def start(self) -> None:
        inner = self._inner
        inner.start()
        self._gradient_itself = Assignable(inner.accumulators)
        self._testing, self._tested_steps = None, ()
        self._directions.move_controls()
        super().start()
        self._has_step_cost = is_written(inner, "step_cost")

    def turn(self, cost: float) -> float:
        cost = super().turn(cost)
        if not self.identities:
            self._testing = Identities(self._derivatives)
            self._testing.of_end(self._read(self._state), self._first(self._state))
        return cost

    def pull_back(self, start: int, stop: int) -> None:
        if self._testing is not None and not self._tested_steps:
            self._tested_steps = steps_to_check(stop)
        super().pull_back(start, stop)

    def finish(self) -> None:
        if self._testing is not None:
            self._testing.of_start(self._first_adjoint)
            self.identities, self._testing, self._tested_steps = self._testing.found, None, ()
        super().finish()

    def __getattr__(self, name: str) -> Any:
        if name in PASSED_ON:
            return getattr(self._inner, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # -- inside -------------------------------------------------------------------------------

    def _pull_back(self, function: Callable[..., object], *point: Any) -> None:
        """Pull the adjoint itself back, after its tangents, which need it as it was."""
        if not self._gauss_newton:
            written = self._back, self._gradient_itself
            invoke(function, "adjoint", written, *point, *written)

    def _read(self, state: Arrays) -> Arrays:
        """Return the inner stepper's part of a state, to be read."""
        own = {name: state[name] for name in self._names}
        return own if self.writes_ghosts else MappingProxyType(own)

    def _written(self, out: Arrays) -> Assignable:
        """Return the inner stepper's part of a state, to be written."""
        return Assignable({name: out[name] for name in self._names})

    def _first(self, state: Arrays) -> Arrays:
        """Return the first direction's part of the tangents of a state."""
        return parts(state, 0, self._moving)

    @property
    def _first_adjoint(self) -> Arrays:
        """The adjoint or, without one, the first of its tangents."""
        return self._first(self._adjoint) if self._gauss_newton else self._above

    def _part(self, direction: Direction, state: Arrays) -> Arrays:
        """Return a direction's part of the tangents of a state."""
        return parts(state, direction.index, self._moving)
