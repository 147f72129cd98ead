"""Wrong arguments are refused at construction, with an error that says what to do."""

import pytest

pytest.importorskip("petsc4py")

import numpy as np
import triads
from petsc4py import PETSc
from plates import plate

import adjoint
from adjoint.errors import ArgumentError, StepperError
from solvers import Sensors
from solvers.petsc import AdaptiveRungeKutta, BackwardEuler, RhsProblem, RungeKutta, Theta, tableaux
from solvers.petsc.problems import Burgers, GrayScott, Heat
from solvers.petsc.vectors import Window


class NoJacobian(triads.Triad, RhsProblem):
    """It has a right-hand side, and no more."""

    def rhs(self, t, u, m, f):
        f.setArray(triads.rhs(t, triads.read(u), m))


def no_jacobian():
    return NoJacobian(triads.vector(), triads.controls(), matrix=triads.dense())


def test_a_missing_jacobian():
    with pytest.raises(StepperError, match=r"write rhs_jacobian\. Coloured"):
        BackwardEuler(no_jacobian(), triads.SIZES)
    with pytest.raises(StepperError, match="rhs_state_vjp"):
        RungeKutta(no_jacobian(), triads.SIZES, tableaux.EULER)


def test_a_missing_matrix():
    problem = triads.RhsTriad()
    problem.matrix = None
    with pytest.raises(StepperError, match="pass matrix="):
        BackwardEuler(problem, triads.SIZES)


def test_a_cost_without_its_derivative():
    class Careless(NoJacobian):
        terminal_cost_vjp = RhsProblem.terminal_cost_vjp

    with pytest.raises(StepperError, match="no terminal_cost_vjp"):
        Careless(triads.vector(), triads.controls())


@pytest.mark.parametrize("sizes", [0.0, -0.1, np.nan, [0.1, 0.0], [], [[0.1]]])
def test_wrong_step_lengths(sizes):
    with pytest.raises(ArgumentError, match="give one positive length"):
        BackwardEuler(triads.RhsTriad(), sizes)


def test_more_steps_than_lengths():
    stepper = BackwardEuler(triads.RhsTriad(), triads.SIZES)
    stepper.start()
    with pytest.raises(ArgumentError, match="lengths were given for 6 steps"):
        stepper.steps.size(6)
    with pytest.raises(ArgumentError, match="'forces' has 6 rows: there is none for step 6"):
        stepper.advance(0, 7)


@pytest.mark.parametrize("theta", [0.0, 1.5, np.nan])
def test_theta_out_of_range(theta):
    with pytest.raises(ArgumentError, match="theta="):
        Theta(triads.RhsTriad(), 0.1, theta=theta)


def test_an_observation_between_steps():
    with pytest.raises(
        ArgumentError, match=r"observation time 0.06: the nearest, step 5, begins at 0.05"
    ):
        BackwardEuler(plate(), 0.011)


def test_an_observation_after_the_end():
    stepper = BackwardEuler(plate(), 0.01)
    with pytest.raises(ArgumentError, match=r"before the observations at t = \[0.12\]"):
        adjoint.gradient(stepper, 7)


def test_vectors_that_numpy_cannot_share():
    problem = triads.RhsTriad()
    problem.template = PETSc.Vec().createGhost([0], (2, PETSc.DECIDE), comm=PETSc.COMM_WORLD)
    with pytest.raises(StepperError, match="ghosted"):
        BackwardEuler(problem, triads.SIZES)
    window = Window(triads.vector())
    for array in (np.zeros(4), np.zeros(3, np.float32), np.zeros(6)[::2]):
        with pytest.raises(StepperError, match="must have 3 float64"):
            window.on(array)


def test_a_tableau_by_name():
    with pytest.raises(ArgumentError, match=r"not 'rk4': one of .*RUNGE_KUTTA_4"):
        RungeKutta(triads.RhsTriad(), triads.SIZES, "rk4")
    with pytest.raises(ArgumentError, match=r"solvers\.petsc\.tableaux"):
        AdaptiveRungeKutta(triads.RhsTriad(), None, 1.0)


def test_wrong_adaptive_steps():
    problem = triads.RhsTriad()
    problem.observation_times = (0.5, 0.2)
    with pytest.raises(ArgumentError, match="no embedded"):
        AdaptiveRungeKutta(problem, tableaux.RUNGE_KUTTA_4, 1.0)
    with pytest.raises(ArgumentError, match="must increase"):
        AdaptiveRungeKutta(problem, tableaux.HEUN_2, 1.0)
    problem.observation_times = (2.0,)
    with pytest.raises(ArgumentError, match="after the end"):
        AdaptiveRungeKutta(problem, tableaux.HEUN_2, 1.0)
    with pytest.raises(ArgumentError, match="after the start"):
        AdaptiveRungeKutta(problem, tableaux.HEUN_2, 0.0)
    with pytest.raises(ArgumentError, match="one must be positive"):
        AdaptiveRungeKutta(problem, tableaux.HEUN_2, 3.0, relative=0, absolute=0)
    with pytest.raises(ArgumentError, match="first_step"):
        AdaptiveRungeKutta(problem, tableaux.HEUN_2, 3.0, first_step=0)


def test_wrong_problems():
    with pytest.raises(ArgumentError, match="three cells"):
        GrayScott((2, 5))
    with pytest.raises(ArgumentError, match="observed has shape"):
        GrayScott((3, 5), observed=np.zeros((3, 5)))
    with pytest.raises(ArgumentError, match="must be positive"):
        Heat((0, 5))
    with pytest.raises(ArgumentError, match="initial has shape"):
        Heat((4, 5), initial=np.zeros((5, 4)))
    with pytest.raises(ArgumentError, match="outside the grid of 4 x 5"):
        Heat((4, 5), sensors=Sensors([(4, 0)], [0.1]))
    with pytest.raises(ArgumentError, match="viscosity=0"):
        Burgers(5, 3, viscosity=0)
    with pytest.raises(ArgumentError, match="target has shape"):
        Burgers(5, 3, target=np.zeros(4))
