"""A right-hand side as a residual, with an inertia that depends on the state."""

from solvers.petsc import ResidualProblem


class Residual(ResidualProblem):
    """``(1 + u^2 / 2) u' = f(t, u, m)``, component by component, of a `RhsProblem` without a mass.

    Initial state, controls and terminal cost are those of the problem; the running cost is
    ``|u|^2 / 2``.
    """

    def __init__(self, problem):
        super().__init__(problem.template, problem.controls, matrix=problem.matrix, dm=problem.dm)
        self.inner, self.grid, self.distributed = problem, problem.grid, problem.distributed
        self.inertia, self.rhs = problem.template.duplicate(), problem.template.duplicate()

    def prepare(self, m):
        self.inner.prepare(m)

    def initial_state(self, m, u):
        self.inner.initial_state(m, u)

    def initial_state_vjp(self, m, adjoint, gradient):
        self.inner.initial_state_vjp(m, adjoint, gradient)

    def running_cost(self, t, u, m):
        return 0.5 * float(u.array_r @ u.array_r)

    def running_cost_vjp(self, t, u, m, weight, adjoint, gradient):
        adjoint.axpy(weight, u)

    def terminal_cost(self, u, m):
        return self.inner.terminal_cost(u, m)

    def terminal_cost_vjp(self, u, m, adjoint, gradient):
        self.inner.terminal_cost_vjp(u, m, adjoint, gradient)

    def residual(self, t, u, rate, m, f):
        self.inner.rhs(t, u, m, self.rhs)
        f.setArray((1 + u.array_r**2 / 2) * rate.array_r - self.rhs.array_r)

    def jacobian(self, t, u, rate, m, shift, jacobian, other):
        self.inner.rhs_jacobian(t, u, m, jacobian, other)
        jacobian.scale(-1.0)
        here, slope = u.array_r, rate.array_r
        self.inertia.setArray(shift * (1 + here**2 / 2) + here * slope)
        diagonal = jacobian.getDiagonal()
        diagonal.axpy(1.0, self.inertia)
        jacobian.setDiagonal(diagonal)

    def residual_control_vjp(self, t, u, rate, m, w, gradient):
        w.scale(-1.0)
        self.inner.rhs_control_vjp(t, u, m, w, gradient)
        w.scale(-1.0)
