"""PETSc's own gradients of the oscillator, and finite differences of its own forward solves."""

from petsc_oscillator import PARAMETERS, START, Oscillator  # isort: skip (it loads MPI)
import numpy as np
from petsc4py import PETSc


def petsc_cost(method: str, num_steps: int, controls: np.ndarray, **options) -> float:
    """Return the cost of a run of `TSSolve`; `controls` are initial state and parameters."""
    problem = Oscillator(method, **options)
    problem.u.setArray(controls[:2])
    problem.parameters[:] = controls[2:]
    problem.ts.setMaxSteps(num_steps)
    problem.ts.solve(problem.u)
    cost = problem.terminal_cost(problem.u)
    if options.get("quadrature"):
        cost += float(problem.ts.getCostIntegral().getArray(readonly=True)[0])
    return cost


def petsc_gradient(
    method: str, num_steps: int, *, trajectory: dict | None = None, **options
) -> np.ndarray:
    """Return the gradient of `TSAdjointSolve`, by default with every state and stage in memory."""
    database = PETSc.Options("ts_trajectory_")  # which has no other prefix
    told = {"type": "memory", **(trajectory or {})}
    for name, value in told.items():
        database[name] = value
    try:
        return _petsc_gradient(Oscillator(method, **options), num_steps)
    finally:
        for name in told:
            database.delValue(name)


def _petsc_gradient(problem: Oscillator, num_steps: int) -> np.ndarray:
    ts, u = problem.ts, problem.u
    adjoint, gradient = u.duplicate(), PETSc.Vec().createSeq(2)
    adjoint.set(0.0)
    gradient.set(0.0)
    ts.setSaveTrajectory()
    ts.setFromOptions()
    ts.setCostGradients([adjoint], [gradient])
    ts.setMaxSteps(num_steps)
    ts.solve(u)
    problem.terminal_cost_vjp(u, adjoint, gradient.getArray())
    ts.adjointSolve()
    ts.destroy()  # and with it the trajectory, and its files
    return np.concatenate([adjoint.getArray(), gradient.getArray()])


def difference_gradient(method: str, num_steps: int, **options) -> np.ndarray:
    """Return central differences of sixth order, with an error of about 1e-10."""
    centre = np.array(START + PARAMETERS)
    gradient = np.zeros(centre.size)
    for index in range(centre.size):
        for reach, weight in ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60)):
            step = 4e-3 * reach * np.eye(centre.size)[index]
            ahead = petsc_cost(method, num_steps, centre + step, **options)
            behind = petsc_cost(method, num_steps, centre - step, **options)
            gradient[index] += weight * (ahead - behind) / 4e-3
    return gradient
