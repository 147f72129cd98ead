"""A failing solver raises an error with PETSc's own words, the step and the time."""

import pytest

pytest.importorskip("petsc4py")

import numpy as np
import triads
from petsc4py import PETSc
from plates import SIZE, plate

from adjoint.errors import NonFiniteError, SolveError, StepperError
from solvers.petsc import BackwardEuler, RungeKutta, tableaux


class Singular(triads.RhsTriad):
    """Its Jacobian becomes singular after a while."""

    def rhs_jacobian(self, t, u, m, jacobian, other):
        triads.fill(jacobian, np.zeros((3, 3)) if t < 0.25 else 10 * triads.MASS)


class NotFinite(triads.RhsTriad):
    """It becomes infinite after a while."""

    def rhs(self, t, u, m, f):
        super().rhs(t, u, m, f)
        if t > 0.25:
            f.set(np.nan)


class Unsolvable(triads.RhsTriad):
    """It has no solution."""

    def rhs(self, t, u, m, f):
        f.setArray(10 * (triads.MASS @ triads.read(u) + 1e3 * triads.read(u) ** 2 + 1e6))


def make(kind, prefix, **options):
    database = PETSc.Options()
    for name, value in {"ksp_type": "preonly", "pc_type": "lu", **options}.items():
        database[f"{prefix}{name}"] = value
    problem = kind()
    problem.observation_times = ()
    stepper = BackwardEuler(problem, 0.1, options_prefix=prefix)
    stepper.start()
    return stepper


def test_singular_matrix():
    stepper = make(Singular, "singular_")
    with pytest.raises(SolveError, match=r"Zero pivot.*\(step 2, t = 0.3"):
        stepper.advance(0, 5)


def test_singular_transposed_matrix():
    stepper = make(triads.RhsTriad, "transposed_")
    stepper.record(0, 1, reach_stop=False)
    stepper.problem.rhs_jacobian = lambda t, u, m, jacobian, other: triads.fill(
        jacobian, 10 * triads.MASS
    )
    with pytest.raises(SolveError, match=r"transposed solve: Zero pivot.*\(step 0"):
        stepper.pull_back(0, 1)


def test_singular_sparse_matrix():
    """That of sparse matrices is a reason of PETSc's, not an error."""
    problem = plate()
    problem.rhs_jacobian = lambda t, u, m, jacobian, other: problem._stencil.fill(
        jacobian, [1 / SIZE, 0, 0, 0, 0]
    )
    database = PETSc.Options()
    database["sparse_ksp_type"], database["sparse_pc_type"] = "preonly", "lu"
    stepper = BackwardEuler(problem, SIZE, options_prefix="sparse_")
    stepper.start()
    with pytest.raises(SolveError, match=r"KSP DIVERGED_PC\w*_FAILED .*\(step 0"):
        stepper.advance(0, 1)


def test_an_exception_of_a_callback():
    stepper = make(triads.RhsTriad, "raising_")

    def rhs(t, u, m, f):
        raise KeyError("of my own")

    stepper.problem.rhs = rhs
    with pytest.raises(KeyError, match="of my own"):
        stepper.advance(0, 1)


def test_not_a_number():
    stepper = make(NotFinite, "nan_")
    with pytest.raises(NonFiniteError, match=r"SNES DIVERGED_\w*NAN\w* .*\(step 2, t = 0.3"):
        stepper.advance(0, 5)


def test_no_convergence():
    stepper = make(Unsolvable, "hopeless_", snes_max_it=3)
    with pytest.raises(SolveError, match=r"SNES DIVERGED_\w+ after \d iterations.*\(step 0"):
        stepper.advance(0, 1)


def test_singular_mass():
    database = PETSc.Options()
    database["massless_mass_ksp_type"], database["massless_mass_pc_type"] = "preonly", "lu"
    problem = triads.RhsTriad()
    triads.fill(problem.mass, np.ones((3, 3)))
    stepper = RungeKutta(problem, triads.SIZES, tableaux.RUNGE_KUTTA_4, options_prefix="massless_")
    stepper.start()
    with pytest.raises(SolveError, match=r"mass matrix: Zero pivot.*step 0, t = 0.0"):
        stepper.advance(0, 1)


def test_a_preconditioner_without_a_transpose():
    class OneWay:
        """Applies the identity."""

        def apply(self, pc, x, y):
            x.copy(y)

    stepper = make(triads.RhsTriad, "oneway_", ksp_type="gmres", pc_type="none")
    pc = stepper._solver._snes.getKSP().getPC()
    pc.setType("python")
    pc.setPythonContext(OneWay())
    stepper.record(0, 1, reach_stop=False)
    with pytest.raises(StepperError, match="transpose under -ksp_type gmres -pc_type python"):
        stepper.pull_back(0, 1)


def test_no_slope():
    """A constraint instead of an equation of motion: no rate fulfils it."""

    class Constraint(triads.ResidualTriad):
        def residual(self, t, u, rate, m, f):
            f.setArray(1 + triads.read(u) ** 2)

        def jacobian(self, t, u, rate, m, shift, jacobian, other):
            triads.fill(jacobian, np.diag(2 * triads.read(u)))

    triads.direct()
    stepper = RungeKutta(Constraint(), triads.SIZES, tableaux.RUNGE_KUTTA_4)
    stepper.start()
    with pytest.raises(SolveError, match=r"the solve for a slope.*step 0, t = 0.0"):
        stepper.advance(0, 1)
