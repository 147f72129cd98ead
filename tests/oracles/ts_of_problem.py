"""PETSc's own integrators and its `TSAdjointSolve`, for a `RhsProblem` without a mass matrix."""

from mpi4py import MPI  # noqa: F401, I001  (before petsc4py: it finds the MPI that that one needs)
from petsc4py import PETSc
from petsc_options import option_setter
import numpy as np

DIRECT = {"ksp_type": "preonly", "pc_type": "lu"}
PREFIX = "peer_"


def peer(problem, size: float, num_steps: int, options: dict):
    """Return a TS for a problem, with its initial solution."""
    ts = PETSc.TS().create(comm=problem.template.getComm())
    ts.setOptionsPrefix(PREFIX)
    m = problem.controls
    ts.setRHSFunction(lambda _, t, u, f: problem.rhs(t, u, m, f), problem.template.duplicate())

    def jacobian(_, t, u, matrix, other):
        problem.rhs_jacobian(t, u, m, problem.matrix, problem.matrix)

    ts.setRHSJacobian(jacobian, problem.matrix, problem.matrix)
    ts.setTimeStep(size)
    ts.setMaxSteps(num_steps)
    ts.setMaxTime(1e9)
    ts.setExactFinalTime(PETSc.TS.ExactFinalTime.STEPOVER)
    set_options(
        {**DIRECT, "ts_adapt_type": "none", "snes_rtol": 1e-13, "snes_atol": 1e-14, **options}
    )
    problem.prepare(m)
    u = problem.template.duplicate()
    problem.initial_state(m, u)
    return ts, u


def adjoint_solve(problem, size: float, num_steps: int, options: dict, parameters=()):
    """Return cost, initial adjoint, and the gradient of some scalar controls."""
    database = PETSc.Options("ts_trajectory_")  # which has no other prefix
    database["type"] = "memory"
    try:
        ts, u = peer(problem, size, num_steps, options)
        return _adjoint_solve(problem, ts, u, parameters)
    finally:
        database.delValue("type")


def _adjoint_solve(problem, ts, u, parameters):
    adjoint, gradient = u.duplicate(), []
    adjoint.set(0.0)
    if parameters:
        columns = PETSc.Mat().createDense([u.getSize(), len(parameters)], comm=PETSc.COMM_SELF)
        columns.setUp()

        def of_parameters(_, t, u, matrix):
            rows = np.arange(u.getSize(), dtype=PETSc.IntType)
            places = np.arange(len(parameters), dtype=PETSc.IntType)
            matrix.setValues(rows, places, differences(problem, t, u, parameters))
            matrix.assemble()

        ts.setRHSJacobianP(of_parameters, columns)
        gradient = [PETSc.Vec().createSeq(len(parameters))]
        gradient[0].set(0.0)
    ts.setSaveTrajectory()
    ts.setFromOptions()
    ts.setCostGradients([adjoint], gradient or None)
    ts.solve(u)
    cost = problem.terminal_cost(u, problem.controls)
    ignored = {name: np.zeros_like(c) for name, c in problem.controls.items()}
    problem.terminal_cost_vjp(u, problem.controls, adjoint, ignored)
    ts.adjointSolve()
    ts.destroy()
    found = gradient[0].getArray() if gradient else None
    return cost, adjoint.getArray().copy(), found


def differences(problem, t, u, parameters) -> np.ndarray:
    """Return the derivatives of a right-hand side by controls that it is linear in."""
    base, moved = u.duplicate(), u.duplicate()
    problem.rhs(t, u, problem.controls, base)
    columns = []
    for name in parameters:
        controls = dict(problem.controls)
        controls[name] = controls[name] + 1.0
        problem.rhs(t, u, controls, moved)
        columns.append(moved.getArray() - base.getArray())
    return np.stack(columns, axis=1)


set_options = option_setter(PREFIX)
