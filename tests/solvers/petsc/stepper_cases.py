"""Integrators on PETSc, and PETSc's own, for the stepper contract."""

# ruff: noqa: PLC0415 (petsc4py may be absent)

from stepper_case import Case


def on_petsc(method: str, problem: str, *arguments: str, adaptive: bool = False) -> Case:
    """Return an integrator of `solvers.petsc`, by the names of class, problem and tableau.

    Problems: `plate` has a constant Jacobian and observations; `line` is nonlinear, with a running
    cost and a control per step; `residual` is nonlinear, with inertia that depends on the state.
    An adaptive method takes more steps than a case has.
    """

    def make():
        from plates import SIZE, line, plate
        from reactions import reaction
        from residual_of_rhs import Residual

        from solvers import petsc

        make_problem = {
            "line": line,
            "plate": plate,
            "residual": lambda: Residual(reaction()),
        }[problem]
        tableaux = [getattr(petsc.tableaux, name) for name in arguments]
        if adaptive:
            tolerances = {"relative": 1e-5, "absolute": 1e-5, "first_step": SIZE / 10}
            return getattr(petsc, method)(make_problem(), *tableaux, 1.0, **tolerances)
        size = SIZE if problem == "plate" else SIZE / 4  # explicit steps of a line must be short
        return getattr(petsc, method)(make_problem(), size, *tableaux)

    return Case(make, shows_tapes=not adaptive, needs=("petsc4py",))


def ts(method: str, **options):
    """Return a PETSc TS of a driven oscillator."""
    from petsc_oscillator import Oscillator

    problem = Oscillator(method, size=0.3, options=options)
    problem.ts.setMaxTime(5.0)
    return problem.stepper(step_cost=True)


ADAPTIVE = {"ts_adapt_type": "basic", "ts_rtol": 1e-4, "ts_atol": 1e-4}

STEPPERS = {
    "backward Euler": on_petsc("BackwardEuler", "line"),
    "Crank-Nicolson": on_petsc("CrankNicolson", "plate"),
    "Crank-Nicolson, nonlinear": on_petsc("CrankNicolson", "line"),
    "Crank-Nicolson, residual": on_petsc("CrankNicolson", "residual"),
    "BDF2": on_petsc("BDF2", "plate"),
    "BDF2, nonlinear": on_petsc("BDF2", "line"),
    "BDF2, residual": on_petsc("BDF2", "residual"),
    "Runge-Kutta, explicit": on_petsc("RungeKutta", "line", "RUNGE_KUTTA_4"),
    "Runge-Kutta, explicit, residual": on_petsc("RungeKutta", "residual", "RUNGE_KUTTA_4"),
    "Runge-Kutta, implicit": on_petsc("RungeKutta", "plate", "SDIRK_2"),
    "Runge-Kutta, explicit first stage": on_petsc("RungeKutta", "line", "TR_BDF2"),
    "Runge-Kutta, implicit, residual": on_petsc("RungeKutta", "residual", "ESDIRK_3"),
    "Runge-Kutta, adaptive": on_petsc(
        "AdaptiveRungeKutta", "residual", "BOGACKI_SHAMPINE_3", adaptive=True
    ),
    "Runge-Kutta, adaptive, implicit": on_petsc(
        "AdaptiveRungeKutta", "residual", "ESDIRK_3", adaptive=True
    ),
    "PETSc TS": Case(lambda: ts("rk 4"), adopts=False, needs=("petsc4py",)),
    "PETSc TS, adaptive": Case(lambda: ts("rk 3bs", **ADAPTIVE), adopts=False, needs=("petsc4py",)),
}
