"""Van der Pol's oscillator, driven, as a PETSc TS with all kinds of cost and control.

::

    u' = v
    v' = a (1 - u^2) v - u + b sin(3 t)

with the parameters ``a`` and ``b``; the cost is ``u(T)^2 + v(T) + b^2 / 2``, plus, as a quadrature,
the integral of ``u^2 + a v^2``, plus ``u v`` before every third step.
"""

from mpi4py import MPI  # noqa: F401, I001  (before petsc4py: it finds the MPI that that one needs)
from petsc4py import PETSc
from petsc_options import option_setter
import numpy as np

from solvers.petsc import TSStepper

START = (1.2, -0.4)
PARAMETERS = (1.3, 0.7)
EVERY = 3

PREFIX = "oscillator_"


class Oscillator:
    """The TS, its vectors and matrices. The options database has those of the last one."""

    def __init__(
        self,
        method: str,
        *,
        size: float = 0.05,
        options: dict | None = None,
        quadrature: bool = False,
        implicit: bool = False,
        sparse: bool = False,
    ) -> None:
        kind, _, family = method.partition(" ")
        self.parameters = np.array(PARAMETERS)
        self.u = PETSc.Vec().createWithArray(np.array(START), comm=PETSc.COMM_SELF)
        self.ts = ts = PETSc.TS().create(PETSc.COMM_SELF)
        ts.setOptionsPrefix(PREFIX)
        ts.setType(kind)
        if family:
            ts.setRKType(family)
        self.jacobian, self.jacobian_p = dense(2, 2), dense(2, 2)
        if sparse:
            self.jacobian = PETSc.Mat().createAIJ([2, 2], nnz=2, comm=PETSc.COMM_SELF)
        if implicit:
            ts.setIFunction(self.residual, self.u.duplicate())
            ts.setIJacobian(self.residual_jacobian, self.jacobian, self.jacobian)
            ts.setIJacobianP(self.residual_jacobian_p, self.jacobian_p)
        else:
            ts.setRHSFunction(self.rhs, self.u.duplicate())
            ts.setRHSJacobian(self.rhs_jacobian, self.jacobian, self.jacobian)
            ts.setRHSJacobianP(self.rhs_jacobian_p, self.jacobian_p)
        if quadrature:
            self.add_quadrature()
        ts.setTimeStep(size)
        ts.setMaxSteps(10**6)
        solving = {"ksp_type": "preonly", "pc_type": "lu", "snes_rtol": 1e-13, "snes_atol": 1e-14}
        set_options({"ts_adapt_type": "none", **solving, **(options or {})})
        ts.setFromOptions()

    def add_quadrature(self) -> None:
        quadrature = self.ts.createQuadratureTS()
        self.integrand_u, self.integrand_p = dense(2, 1), dense(2, 1)
        quadrature.setRHSFunction(self.integrand, PETSc.Vec().createSeq(1))
        quadrature.setRHSJacobian(self.integrand_jacobian, self.integrand_u, self.integrand_u)
        quadrature.setRHSJacobianP(self.integrand_jacobian_p, self.integrand_p)

    def stepper(self, *, step_cost: bool = False, parameters: bool = True, **options) -> TSStepper:
        """Return the TS as a stepper."""
        steps = {"step_cost": observation, "step_cost_vjp": observation_vjp} if step_cost else {}
        if parameters:
            options["parameters"] = self.parameters
        return TSStepper(
            self.ts,
            self.u,
            terminal_cost=self.terminal_cost,
            terminal_cost_vjp=self.terminal_cost_vjp,
            **steps,
            **options,
        )

    # -- the problem --------------------------------------------------------------------------

    def rhs(self, ts, t, u, f):
        f.setArray(rhs(t, u.getArray(readonly=True), self.parameters))

    def rhs_jacobian(self, ts, t, u, jacobian, preconditioner):
        fill(preconditioner, rhs_jacobian(u.getArray(readonly=True), self.parameters))

    def rhs_jacobian_p(self, ts, t, u, jacobian):
        fill(jacobian, rhs_jacobian_p(t, u.getArray(readonly=True)))

    def residual(self, ts, t, u, rate, f):
        f.setArray(
            rate.getArray(readonly=True) - rhs(t, u.getArray(readonly=True), self.parameters)
        )

    def residual_jacobian(self, ts, t, u, rate, shift, jacobian, preconditioner):
        of_rhs = rhs_jacobian(u.getArray(readonly=True), self.parameters)
        fill(preconditioner, shift * np.eye(2) - of_rhs)

    def residual_jacobian_p(self, ts, t, u, rate, shift, jacobian):
        fill(jacobian, -rhs_jacobian_p(t, u.getArray(readonly=True)))

    def integrand(self, ts, t, u, f):
        x, v = u.getArray(readonly=True)
        f.setArray([x**2 + self.parameters[0] * v**2])

    def integrand_jacobian(self, ts, t, u, jacobian, preconditioner):
        x, v = u.getArray(readonly=True)
        fill(jacobian, np.array([[2 * x], [2 * self.parameters[0] * v]]))

    def integrand_jacobian_p(self, ts, t, u, jacobian):
        fill(jacobian, np.array([[u.getArray(readonly=True)[1] ** 2], [0.0]]))

    def terminal_cost(self, u):
        x, v = u.getArray(readonly=True)
        return float(x**2 + v + self.parameters[1] ** 2 / 2)

    def terminal_cost_vjp(self, u, adjoint, gradient):
        adjoint.getArray()[...] += (2 * u.getArray(readonly=True)[0], 1.0)
        if gradient is not None:
            gradient[1] += self.parameters[1]


set_options = option_setter(PREFIX)


def rhs(t, u, parameters):
    """Return the time derivative, for real or complex arguments."""
    a, b = parameters
    return np.array([u[1], a * (1 - u[0] ** 2) * u[1] - u[0] + b * np.sin(3 * t)])


def rhs_jacobian(u, parameters):
    a = parameters[0]
    return np.array([[0.0, 1.0], [-2 * a * u[0] * u[1] - 1, a * (1 - u[0] ** 2)]])


def rhs_jacobian_p(t, u):
    return np.array([[0.0, 0.0], [(1 - u[0] ** 2) * u[1], np.sin(3 * t)]])


def observation(ts, step, time, u):
    x, v = u.getArray(readonly=True)
    return float(x * v) if step % EVERY == 0 else 0.0


def observation_vjp(ts, step, time, u, adjoint, gradient):
    if step % EVERY == 0:
        adjoint.getArray()[...] += u.getArray(readonly=True)[::-1]


def dense(rows: int, columns: int):
    matrix = PETSc.Mat().createDense([rows, columns], comm=PETSc.COMM_SELF)
    matrix.setUp()
    matrix.assemble()
    return matrix


def fill(matrix, values: np.ndarray) -> None:
    rows, columns = (np.arange(n, dtype=PETSc.IntType) for n in values.shape)
    matrix.setValues(rows, columns, values)
    matrix.assemble()
