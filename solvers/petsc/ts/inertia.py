"""Refuses a mass matrix that changes, under a theta method with an endpoint.

Such a step solves ``F(t, U, (U - u) / (theta h)) + (1 - theta) / theta F(s, u, 0) = 0`` from the
state ``u`` at time ``s`` to ``U`` at time ``t``. So the derivative with respect to ``u`` has
``dF/du'`` at the end of the step, but PETSc's adjoint step takes it at the beginning, and with it
the derivative of the whole residual, at the rate of the step. The gradient is right only if
``F(t, u, u') - F(t, u, 0)`` depends on neither ``t`` nor ``u``. That is compared here, for one
rate, between states of the run.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from adjoint.errors import StepperError
from solvers.petsc.library import PETSc

__all__ = ["EVERY", "Inertia", "has_endpoint"]

TS = Any
Vec = Any

EVERY = 16
"""Steps from one comparison to the next: each takes two residuals, and a step some ten."""

TOLERANCE = 1e-8
"""Relative difference that is taken for round-off; without round-off it would be zero."""

ROUND_OFF = 1e-12
"""Error of an entry of the residual, relative to it: what two of them that cancel leave."""


class Inertia:
    """Compares the inertia of a TS, whose solution is `u`, between the states of a run."""

    def __init__(self, ts: TS, u: Vec) -> None:
        self._ts = ts
        self._u = u
        self._rate, self._still, self._residual = u.duplicate(), u.duplicate(), u.duplicate()
        self._still.set(0.0)
        self._first: NDArray[Any] | None = None

    def begin(self) -> None:
        """Begin a run: the next state is the one to compare with."""
        self._first = None

    def check(self, k: int) -> None:
        """Compare at the live solution, which is before step `k`. Collective.

        Raises
        ------
        StepperError
            The inertia is another one than at the first step; on all ranks.
        """
        if self._first is None:
            self._set_rate()
            self._first, _ = self._inertia()
            return
        new, error = self._inertia()
        differs = np.abs(new - self._first) > TOLERANCE * np.abs(self._first) + error
        if self._ts.comm.tompi4py().allreduce(int(differs.any())):
            raise StepperError(
                f"the mass matrix before step {k} is not that of the first step: it depends on the "
                "solution or on time, which PETSc's adjoint step leaves out under a theta method "
                "with an endpoint. Use -ts_type beuler, theta without an endpoint, or "
                "solvers.petsc.CrankNicolson"
            )

    def _inertia(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return this rank's part of ``F(t, u, u') - F(t, u, 0)``, and its round-off."""
        moving, resting = (self._residual_at(rate) for rate in (self._rate, self._still))
        return moving - resting, ROUND_OFF * np.abs(moving)

    def _residual_at(self, rate: Vec) -> NDArray[Any]:
        ts = self._ts
        ts.computeIFunction(ts.getTime(), self._u, rate, self._residual, False)
        return self._residual.getArray(readonly=True).copy()

    def _set_rate(self) -> None:
        """Set a rate at which every entry changes by about the solution in a step."""
        scale = self._u.norm(PETSc.NormType.NORM_INFINITY) or 1.0
        numbers = 1 + np.random.default_rng(0).random(self._rate.getLocalSize())
        self._rate.setArray(numbers * scale / self._ts.getTimeStep())


def has_endpoint(ts: TS) -> bool:
    """Return whether the steps of a TS are those that `Inertia` is for."""
    return ts.getType() != "rk" and ts.getThetaEndpoint() and ts.getTheta() != 1
