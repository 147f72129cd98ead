"""Three coupled unknowns, with all kinds of cost and control.

::

    M u' + c (u')^3 + d u_0 u' = f(t, u)

    f_0 = u_1 - a u_0 u_2
    f_1 = a (1 - u_0^2) u_1 - u_0 + b sin(3 t) + q_k
    f_2 = u_0^2 - 2 u_2 + b t

with the controls ``parameters = (a, b)``, ``forces = q``, one per step, and ``initial``. The cost
has a part of every kind. ``c = d = 0`` makes it a `RhsProblem`. The functions take complex
arguments.
"""

from mpi4py import MPI  # noqa: F401, I001  (before petsc4py: it finds the MPI that that one needs)
from petsc4py import PETSc
import numpy as np

from solvers.petsc import ResidualProblem, RhsProblem

MASS = np.array([[2.0, 0.3, 0.0], [-0.1, 1.5, 0.2], [0.0, 0.4, 1.0]])
CUBIC, PRODUCT = 0.02, 0.1
SIZES = (0.1, 0.12, 0.08, 0.1, 0.1, 0.15)
NUM_STEPS = len(SIZES)
TIMES = (0.0, *np.cumsum(SIZES)[[1, 3, 5]])
"""Of observations: at the start, twice on the way, and at the end."""

LINEAR = np.array([[-1.0, 0.4, 0.0], [0.2, -2.0, 0.5], [0.0, 0.3, -0.5]])


def controls() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {
        "parameters": np.array([1.3, 0.7]),
        "forces": rng.standard_normal(NUM_STEPS),
        "initial": np.array([1.2, -0.4, 0.3]),
    }


def rhs(t, u, m):
    (a, b), q = m["parameters"], m["forces"]
    return np.array(
        [
            u[1] - a * u[0] * u[2],
            a * (1 - u[0] ** 2) * u[1] - u[0] + b * np.sin(3 * t) + q,
            u[0] ** 2 - 2 * u[2] + b * t,
        ]
    )


def rhs_jacobian(u, m):
    a = m["parameters"][0]
    return np.array(
        [
            [-a * u[2], 1.0, -a * u[0]],
            [-2 * a * u[0] * u[1] - 1, a * (1 - u[0] ** 2), 0.0],
            [2 * u[0], 0.0, -2.0],
        ]
    )


def rhs_vjp(t, u, w, gradient):
    gradient["parameters"][0] += -u[0] * u[2] * w[0] + (1 - u[0] ** 2) * u[1] * w[1]
    gradient["parameters"][1] += np.sin(3 * t) * w[1] + t * w[2]
    gradient["forces"][...] += w[1]


def linear_rhs(t, u, m):
    """Return a right-hand side whose Jacobian is constant, but for the parameters."""
    return m["parameters"][0] * LINEAR @ u + np.array([0.0, m["forces"] + np.sin(3 * t), t])


def residual(t, u, rate, m):
    inertia = MASS @ rate + CUBIC * rate**3 + PRODUCT * u[0] * rate
    return inertia - rhs(t, u, m)


def residual_jacobian(u, rate, shift, m):
    of_rate = MASS + np.diag(3 * CUBIC * rate**2) + PRODUCT * u[0] * np.eye(3)
    of_state = np.outer(PRODUCT * rate, [1.0, 0.0, 0.0]) - rhs_jacobian(u, m)
    return shift * of_rate + of_state


def running_cost(t, u, m):
    a, q = m["parameters"][0], m["forces"]
    return (1 + t) * u[0] ** 2 + a * u[1] ** 2 + 0.3 * q**2


def observation_cost(index, u, m):
    return (index + 1) * (u[0] - 0.5) ** 2 / 2 + m["parameters"][1] * u[2]


def terminal_cost(u, m):
    return u[0] ** 2 + u[1] + m["parameters"][1] ** 2 / 2


class Triad:
    """The costs, and whatever else the two kinds of problem share."""

    per_step = ("forces",)
    observation_times = TIMES

    def initial_state(self, m, u):
        u.setArray(m["initial"])

    def initial_state_vjp(self, m, adjoint, gradient):
        gradient["initial"][...] += read(adjoint)

    def running_cost(self, t, u, m):
        return float(running_cost(t, read(u), m))

    def running_cost_vjp(self, t, u, m, weight, adjoint, gradient):
        x, a = read(u), m["parameters"][0]
        adjoint.getArray()[:2] += weight * 2 * np.array([(1 + t) * x[0], a * x[1]])
        gradient["parameters"][0] += weight * x[1] ** 2
        gradient["forces"][...] += weight * 0.6 * m["forces"]

    def observation_cost(self, index, u, m):
        return float(observation_cost(index, read(u), m))

    def observation_cost_vjp(self, index, u, m, adjoint, gradient):
        adjoint.getArray()[0] += (index + 1) * (read(u)[0] - 0.5)
        adjoint.getArray()[2] += m["parameters"][1]
        gradient["parameters"][1] += read(u)[2]

    def terminal_cost(self, u, m):
        return float(terminal_cost(read(u), m))

    def terminal_cost_vjp(self, u, m, adjoint, gradient):
        adjoint.getArray()[:2] += (2 * read(u)[0], 1.0)
        gradient["parameters"][1] += m["parameters"][1]


class RhsTriad(Triad, RhsProblem):
    """With a mass matrix, or without."""

    def __init__(self, *, mass: bool = True) -> None:
        options = {"matrix": dense(), "mass": dense(MASS) if mass else None}
        super().__init__(vector(), controls(), **options)

    def rhs(self, t, u, m, f):
        f.setArray(rhs(t, read(u), m))

    def rhs_jacobian(self, t, u, m, jacobian, other):
        fill(jacobian, rhs_jacobian(read(u), m))

    def rhs_control_vjp(self, t, u, m, w, gradient):
        rhs_vjp(t, read(u), read(w), gradient)


class LinearTriad(RhsTriad):
    """With a constant Jacobian."""

    constant_jacobian = True

    def rhs(self, t, u, m, f):
        f.setArray(linear_rhs(t, read(u), m))

    def rhs_jacobian(self, t, u, m, jacobian, other):
        fill(jacobian, m["parameters"][0] * LINEAR)

    def rhs_control_vjp(self, t, u, m, w, gradient):
        gradient["parameters"][0] += read(w) @ LINEAR @ read(u)
        gradient["forces"][...] += read(w)[1]


class ResidualTriad(Triad, ResidualProblem):
    """With an inertia that depends on state and rate."""

    def __init__(self) -> None:
        super().__init__(vector(), controls(), matrix=dense())

    def residual(self, t, u, rate, m, f):
        f.setArray(residual(t, read(u), read(rate), m))

    def jacobian(self, t, u, rate, m, shift, jacobian, other):
        fill(jacobian, residual_jacobian(read(u), read(rate), shift, m))

    def residual_control_vjp(self, t, u, rate, m, w, gradient):
        rhs_vjp(t, read(u), -read(w), gradient)


class LinearResidualTriad(ResidualTriad):
    """A residual with a constant Jacobian."""

    constant_jacobian = True

    def residual(self, t, u, rate, m, f):
        f.setArray(MASS @ read(rate) - linear_rhs(t, read(u), m))

    def jacobian(self, t, u, rate, m, shift, jacobian, other):
        fill(jacobian, shift * MASS - m["parameters"][0] * LINEAR)

    def residual_control_vjp(self, t, u, rate, m, w, gradient):
        gradient["parameters"][0] -= read(w) @ LINEAR @ read(u)
        gradient["forces"][...] -= read(w)[1]


class MatrixFreeTriad(ResidualTriad):
    """The same residual, with a matrix-free Jacobian."""

    def __init__(self) -> None:
        super().__init__()
        shell = PETSc.Mat().createPython([3, 3], DenseContext(), comm=PETSc.COMM_SELF)
        shell.setUp()
        self.matrix = self.preconditioner = shell

    def jacobian(self, t, u, rate, m, shift, jacobian, other):
        values = residual_jacobian(read(u), read(rate), shift, m)
        jacobian.getPythonContext().values = values
        jacobian.assemble()


class DenseContext:
    """Multiplies by an array."""

    values = np.eye(3)

    def mult(self, matrix, x, y):
        y.setArray(self.values @ read(x))

    def multTranspose(self, matrix, x, y):  # noqa: N802 (PETSc's name)
        y.setArray(self.values.T @ read(x))


def vector():
    return PETSc.Vec().createSeq(3)


def read(vec) -> np.ndarray:
    return vec.getArray(readonly=True)


def dense(values: np.ndarray | None = None):
    matrix = PETSc.Mat().createDense([3, 3], comm=PETSc.COMM_SELF)
    matrix.setUp()
    fill(matrix, np.zeros((3, 3)) if values is None else values)
    return matrix


def fill(matrix, values: np.ndarray) -> None:
    rows = np.arange(3, dtype=PETSc.IntType)
    matrix.setValues(rows, rows, values)
    matrix.assemble()


def direct(prefix: str = "") -> None:
    """Set the solvers of a prefix to direct ones, and Newton's method to converge to round-off."""
    options = PETSc.Options()
    for name, value in {
        "ksp_type": "preonly",
        "pc_type": "lu",
        "mass_ksp_type": "preonly",
        "mass_pc_type": "lu",
        "snes_rtol": 1e-14,
        "snes_atol": 1e-14,
        "snes_stol": 1e-15,
    }.items():
        options[prefix + name] = value
