"""The problem of the benchmarks of `TSStepper`: the Gray-Scott reaction, as a TS."""

from typing import Any

import mpi4py.MPI  # noqa: F401  (it is what finds the MPI that petsc4py is built for)
from petsc4py import PETSc

from solvers.petsc import TSStepper
from solvers.petsc.problems import GrayScott

OPTIONS = {
    "ts_adapt_type": "none",
    "ts_exact_final_time": "stepover",
    "ksp_rtol": 1e-8,
    "pc_type": "ilu",
}


class Reaction:
    """A TS on `cells` by `cells` cells, fresh, with steps of half a second."""

    def __init__(self, method: str, cells: int, num_steps: int) -> None:
        self._problem = GrayScott((cells, cells))
        self.u = self._problem.grid.vector()
        self._problem.initial_state(self._problem.controls, self.u)
        self.ts = PETSc.TS().create(PETSc.COMM_SELF)
        kind, _, family = method.partition(" ")
        self.ts.setType(kind)
        if family:
            self.ts.setRKType(family)
        self.ts.setDM(self._problem.grid.dm)
        matrix = self._problem.matrix
        self.ts.setRHSFunction(self._rhs, self.u.duplicate())
        self.ts.setRHSJacobian(self._jacobian, matrix, matrix)
        self.ts.setTimeStep(0.5)
        self.ts.setMaxSteps(num_steps)
        for name, value in OPTIONS.items():
            PETSc.Options()[name] = value
        self.ts.setFromOptions()

    def stepper(self) -> TSStepper:
        """Return the TS as a stepper."""
        return TSStepper(self.ts, self.u, terminal_cost=self.cost, terminal_cost_vjp=self.cost_vjp)

    def cost(self, u: Any) -> float:
        """Return the mean of the substrate at the end."""
        return self._problem.terminal_cost(u, self._problem.controls)

    def cost_vjp(self, u: Any, adjoint: Any, gradient: Any) -> None:
        """Add its derivative."""
        del gradient
        self._problem.terminal_cost_vjp(u, self._problem.controls, adjoint, {})

    def _rhs(self, ts: Any, t: float, u: Any, f: Any) -> None:
        del ts
        self._problem.rhs(t, u, self._problem.controls, f)

    def _jacobian(self, ts: Any, t: float, u: Any, a: Any, b: Any) -> None:
        del ts
        self._problem.rhs_jacobian(t, u, self._problem.controls, a, b)
