"""Searches for a minimum, by SciPy's methods or TAO's. No method is written here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from adjoint.errors import ArgumentError, NonFiniteError
from adjoint.inverse.evaluation_log import key_of
from adjoint.inverse.history import Found
from adjoint.inverse.optional import with_petsc
from adjoint.reporting.progress import Bar

if TYPE_CHECKING:
    from adjoint.inverse.inversion import Inversion

__all__ = ["FIRST_ORDER", "SECOND_ORDER", "Barrier", "EndedError", "Steps", "search"]

Array = NDArray[np.float64]

# SciPy's methods that take gradients alone, those that take Hessian products, those with bounds.
FIRST_ORDER = ("L-BFGS-B", "BFGS", "CG", "TNC", "SLSQP")
SECOND_ORDER = ("Newton-CG", "trust-ncg", "trust-krylov", "trust-constr")
BOXED = ("L-BFGS-B", "TNC", "SLSQP", "trust-constr")

BARRIER = 1e3
"""Height of the barrier, in units of 1 + |cost|: so high that no line search takes it for progress,
and so low that interpolation between it and a finite cost keeps its digits."""
MOST_IN_A_ROW = 30
"""Non-finite costs one after the other at which a search ends: a line search that halves its step
has then tried a billionth of it."""


class EndedError(Exception):
    """The callback has ended the search."""


@dataclass(slots=True)
class Barrier:
    """Stands between an inversion and a method, and keeps from it costs that are not finite.

    SciPy's L-BFGS-B takes an infinite cost for convergence, and others fail at once. Where the cost
    is not finite, a method sees a cost far above that of the last finite evaluation, with its
    gradient reversed, and steps back.
    """

    inversion: "Inversion"
    non_finite: int = 0
    misfit: float = float("nan")
    """Of the last finite evaluation."""
    _in_a_row: int = 0
    _last: tuple[float, Array] | None = None
    _costs: dict[bytes, float] = field(default_factory=dict[bytes, float])

    def __call__(self, x: Array) -> tuple[float, Array]:
        """Return cost and gradient. On rank 0, in `Inversion.lead`."""
        try:
            found = self.inversion.objective.gradient(x)
        except NonFiniteError:
            self.non_finite += 1
            self._in_a_row += 1
            if self._last is None:
                raise
            if self._in_a_row == MOST_IN_A_ROW:
                raise NonFiniteError(
                    f"{MOST_IN_A_ROW} evaluations in a row were not finite: the search cannot "
                    "leave the region where the cost is not defined"
                ) from None
            cost, gradient = self._last
            return cost + BARRIER * (1 + abs(cost)), -gradient
        self._in_a_row = 0
        self._last = found.cost, found.gradient
        self._costs[key_of(x)] = found.cost
        self.misfit = found.misfit
        return self._last[0], self._last[1].copy()

    def cost_at(self, x: Array) -> float:
        """Return the cost at an x that was evaluated before."""
        return self._costs.get(key_of(x), float("nan"))


class Steps:
    """Counts iterations: shows them, and passes them to the user's callback."""

    def __init__(self, inversion: "Inversion", barrier: Barrier, limit: int | None) -> None:
        self._inversion = inversion
        self._barrier = barrier
        self.count = 0
        self.x: Array | None = None
        """Of the last iteration."""
        shown = inversion.progress and inversion.comm.rank == 0
        self._bar = Bar(total=limit, unit="iteration", disable=not shown)
        self._skipped = 0

    def __call__(self, x: Array) -> None:
        """Note an iteration that ended in x.

        Raises
        ------
        EndedError
            The user's callback raised StopIteration.
        """
        self.count += 1
        self.x = np.array(x, np.float64)
        history = self._inversion.history
        replayed = sum(each.replayed for each in history)
        if history:
            told = f"misfit {self._barrier.misfit:.4g}"
            self._bar.set_postfix_str(f"{told}, {replayed} replayed" if replayed else told)
        self._bar.update()
        if self._inversion.callback is not None:
            state = optimize.OptimizeResult(x=self.x.copy(), fun=self._barrier.cost_at(self.x))
            try:
                self._inversion.callback(intermediate_result=state)
            except StopIteration:
                raise EndedError from None

    def close(self) -> None:
        """Close the bar."""
        self._bar.close()


def search(
    inversion: "Inversion",
    method: str,
    initial: Array,
    max_iterations: int | None,
    gauss_newton: bool,
    options: Mapping[str, Any],
) -> Found:
    """Search by the method named; see `Inversion.minimise`. Collective."""
    if method.startswith("tao:"):
        by_tao = with_petsc("tao", f"method={method!r}").search_by_tao
        found = by_tao(inversion, method, initial, max_iterations, gauss_newton, options)
    elif method in FIRST_ORDER + SECOND_ORDER:
        found = inversion.together(
            lambda: _by_scipy(inversion, method, initial, max_iterations, gauss_newton, options)
        )
    else:
        raise ArgumentError(
            f"there is no method {method!r}: SciPy's {', '.join(FIRST_ORDER)}, with second "
            f"derivatives {', '.join(SECOND_ORDER)}; or TAO's, such as 'tao:blmvm'"
        )
    inversion.lead.run(inversion.objective.misfit.prove)  # a search that the log has answered whole
    return inversion.on_this_rank(found)


def _by_scipy(
    inversion: "Inversion",
    method: str,
    initial: Array,
    max_iterations: int | None,
    gauss_newton: bool,
    options: Mapping[str, Any],
) -> Found:
    """Search on rank 0, in `Inversion.lead`."""
    for name, variable in inversion.variables.items():
        if variable.unfactored_product is not None:
            raise ArgumentError(
                f"the inner product of {name!r} has no factor, so that SciPy cannot use it: give "
                "Mass or Diagonal, or take one of TAO's methods"
            )
    bounds = _bounds(inversion, method)
    barrier = Barrier(inversion)
    steps = Steps(inversion, barrier, max_iterations)
    known = len(inversion.history)
    arguments: dict[str, Any] = {}
    if method in SECOND_ORDER:
        arguments["hessp"] = lambda x, v: inversion.objective.products(
            x, v[:, None], gauss_newton=gauss_newton
        )[:, 0]
    limit = {} if max_iterations is None else {_limit_of(method): max_iterations}
    try:
        result = optimize.minimize(
            barrier,
            initial,
            jac=True,
            method=method,
            bounds=bounds,
            callback=_callback(steps, method),
            options={**limit, **options},
            **arguments,
        )
    except EndedError:
        assert steps.x is not None
        result = optimize.OptimizeResult(
            x=steps.x,
            fun=barrier.cost_at(steps.x),
            success=False,
            message="the callback ended the search",
            nit=steps.count,
        )
    finally:
        steps.close()
    x = np.asarray(result.x, np.float64)
    new = inversion.history[known:]
    return Found(
        x=x,
        controls={},
        cost=float(result.fun),
        misfit=inversion.objective.misfit_at(x, float(result.fun)),
        success=bool(result.success),
        message=str(result.message),
        iterations=int(result.get("nit", steps.count)),
        history=tuple(new),
        non_finite=barrier.non_finite,
        replayed=sum(each.replayed for each in new),
        report=None,
        scipy=result,
    )


def _limit_of(method: str) -> str:
    """Return SciPy's name of the limit: TNC counts evaluations."""
    return "maxfun" if method == "TNC" else "maxiter"


def _callback(steps: Steps, method: str) -> Callable[..., None]:
    """Return a callback with the signature that SciPy has for the method."""
    if method == "trust-constr":
        return lambda x, _: steps(x)
    return steps


def _bounds(inversion: "Inversion", method: str) -> optimize.Bounds | None:
    boxes = {name: variable.box() for name, variable in inversion.variables.items()}
    if all(box is None for box in boxes.values()):
        return None
    if method not in BOXED:
        raise ArgumentError(
            f"{method} heeds no bounds: take {', '.join(BOXED)}, one of TAO's bounded methods, or "
            "the transform Logit"
        )
    low, high = np.full(inversion.size, -np.inf), np.full(inversion.size, np.inf)
    for name, box in boxes.items():
        if box is not None:
            low[inversion.objective.places[name]], high[inversion.objective.places[name]] = box
    return optimize.Bounds(low, high)  # pyright: ignore[reportArgumentType]
