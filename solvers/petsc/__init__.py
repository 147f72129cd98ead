"""Time integrators with discrete adjoints on PETSc, and a user's own ``TS`` as a stepper.

Write the equation as a `RhsProblem` or a `ResidualProblem` and choose an integrator: `Theta`,
`BackwardEuler`, `CrankNicolson`, `BDF2`, `RungeKutta` or `AdaptiveRungeKutta`, the last two with a
method of `tableaux`. Or give a configured ``TS`` to `TSStepper`, which uses PETSc's own adjoint
step.
"""

from typing import TYPE_CHECKING

from adjoint.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from solvers.petsc import problems
    from solvers.petsc.grid import CellGrid, Stencil
    from solvers.petsc.integrators import tableaux
    from solvers.petsc.integrators.adaptive import AdaptiveRungeKutta
    from solvers.petsc.integrators.base import PetscStepper
    from solvers.petsc.integrators.bdf2 import BDF2
    from solvers.petsc.integrators.runge_kutta import RungeKutta
    from solvers.petsc.integrators.tableaux import Tableau
    from solvers.petsc.integrators.theta import BackwardEuler, CrankNicolson, Theta
    from solvers.petsc.problem import Problem, ResidualProblem, RhsProblem
    from solvers.petsc.ts.stepper import TSStepper

__all__ = [
    "BDF2",
    "AdaptiveRungeKutta",
    "BackwardEuler",
    "CellGrid",
    "CrankNicolson",
    "PetscStepper",
    "Problem",
    "ResidualProblem",
    "RhsProblem",
    "RungeKutta",
    "Stencil",
    "TSStepper",
    "Tableau",
    "Theta",
    "problems",
    "tableaux",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "AdaptiveRungeKutta": "integrators.adaptive",
        "BDF2": "integrators.bdf2",
        "BackwardEuler": "integrators.theta",
        "CellGrid": "grid",
        "CrankNicolson": "integrators.theta",
        "PetscStepper": "integrators.base",
        "Problem": "problem",
        "ResidualProblem": "problem",
        "RhsProblem": "problem",
        "RungeKutta": "integrators.runge_kutta",
        "Stencil": "grid",
        "TSStepper": "ts.stepper",
        "Tableau": "integrators.tableaux",
        "Theta": "integrators.theta",
        "problems": "problems",
        "tableaux": "integrators.tableaux",
    },
)
