"""The Gray-Scott reaction as a user's TS, with its coefficients as parameters.

The derivative with respect to the parameters is a matrix of the columns that the right-hand side,
which is linear in them, has for one of them at a time.
"""

from mpi4py import MPI  # noqa: F401, I001  (before petsc4py: it finds the MPI that that one needs)
from petsc4py import PETSc
from petsc_options import option_setter
import numpy as np

from solvers.petsc.problems import GrayScott
from solvers.petsc import TSStepper

PREFIX = "reaction_"
SHAPE = (10, 12)
NAMES = ("D1", "D2", "gamma", "kappa")
SOLVING = {
    "ts_adapt_type": "none",
    "snes_rtol": 1e-12,
    "snes_atol": 1e-14,
    "ksp_rtol": 1e-13,
    "pc_type": "bjacobi",
}


def reaction(method: str, comm, *, quadrature: bool = False, **options) -> TSStepper:
    """Return a stepper of the reaction on SHAPE cells; `comm` None is this rank alone."""
    problem = GrayScott(SHAPE, comm=comm)
    problem.observed = np.full(problem.grid.local_shape, 0.4)
    parameters = np.array([float(problem.controls[name]) for name in NAMES])
    ts = PETSc.TS().create(problem.grid.comm)
    ts.setOptionsPrefix(PREFIX)
    kind, _, family = method.partition(" ")
    ts.setType(kind)
    if family:
        ts.setRKType(family)
    ts.setDM(problem.grid.dm)
    u = problem.grid.vector()
    problem.initial_state(problem.controls, u)
    values = problem.grid.own_array(u)
    rows, columns = np.indices(SHAPE)
    bumps = 0.1 * np.cos(rows + 0.3 * columns) + 0.3
    values[..., 1] += bumps[problem.grid.own]
    matrix = problem.matrix
    add_functions(ts, problem, parameters, u, matrix)
    if quadrature:
        add_quadrature(ts, problem, u)
    ts.setTimeStep(0.5)
    ts.setMaxSteps(10**6)
    set_options({**SOLVING, **options})
    ts.setFromOptions()

    def cost(u):
        return problem.terminal_cost(u, problem.controls)

    def cost_vjp(u, adjoint, gradient):
        problem.terminal_cost_vjp(u, problem.controls, adjoint, {})

    return TSStepper(ts, u, terminal_cost=cost, terminal_cost_vjp=cost_vjp, parameters=parameters)


def add_functions(ts, problem, parameters, u, matrix) -> None:
    def coefficients(values):
        return dict(zip(NAMES, values, strict=True))

    def rhs(ts, t, u, f):
        problem.rhs(t, u, coefficients(parameters), f)

    def jacobian(ts, t, u, a, b):
        problem.rhs_jacobian(t, u, coefficients(parameters), a, b)

    def jacobian_p(ts, t, u, a):
        first, last = u.getOwnershipRange()
        numbers = np.arange(first, last, dtype=PETSc.IntType)
        columns = np.arange(4, dtype=PETSc.IntType)
        a.setValues(numbers, columns, np.stack([column(u, unit) for unit in np.eye(4)], axis=-1))
        a.assemble()

    def column(u, unit):
        f = u.duplicate()
        problem.rhs(0.0, u, coefficients(unit), f)
        with_it = f.getArray().copy()
        problem.rhs(0.0, u, coefficients(np.zeros(4)), f)
        return with_it - f.getArray()

    sizes = (u.getSizes(), (PETSc.DECIDE, 4))
    matrix_p = PETSc.Mat().createDense(sizes, comm=u.comm)
    matrix_p.setUp()
    ts.setRHSFunction(rhs, u.duplicate())
    ts.setRHSJacobian(jacobian, matrix, matrix)
    ts.setRHSJacobianP(jacobian_p, matrix_p)


def add_quadrature(ts, problem, u) -> None:
    """Add the integral over time of the sum of v^2 over the cells: on each rank, its part."""
    quadrature = ts.createQuadratureTS()
    of_u = PETSc.Mat().createDense((u.getSizes(), (PETSc.DECIDE, 1)), comm=u.comm)
    of_p = PETSc.Mat().createDense(((PETSc.DECIDE, 4), (PETSc.DECIDE, 1)), comm=u.comm)
    for matrix in (of_u, of_p):
        matrix.setUp()
        matrix.assemble()

    def integrand(ts, t, u, f):
        f.setArray([float(np.sum(problem.grid.read(u)[..., 1] ** 2))])

    def integrand_jacobian(ts, t, u, a, b):
        first, last = u.getOwnershipRange()
        values = np.zeros((last - first, 1))
        values[1::2, 0] = 2 * u.getArray(readonly=True)[1::2]
        a.setValues(np.arange(first, last, dtype=PETSc.IntType), [0], values)
        a.assemble()

    quadrature.setRHSFunction(integrand, PETSc.Vec().createSeq(1))
    quadrature.setRHSJacobian(integrand_jacobian, of_u, of_u)
    quadrature.setRHSJacobianP(lambda ts, t, u, a: a.assemble(), of_p)


set_options = option_setter(PREFIX)
