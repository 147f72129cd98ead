"""Time of a gradient by `solvers.petsc`'s integrators, relative to PETSc's own solves.

    python tests/benchmarks/implicit_against_petsc.py [--cells 64] [--steps 100] [-ksp_type …]

Gray and Scott's reaction, the same callbacks for both. *F* is `TS.solve` without a trajectory, *A*
is `TS.adjointSolve` after one that keeps everything in memory. Figures of a row are taken in one
run, interleaved, each the best of its repeats; the last columns are ratios:

forward    a sweep of the integrator, costs included, over F
petsc      PETSc's own, forward with the trajectory and back, over F + A
leaf       a gradient in one leaf of all steps, over *petsc*
leaves     a gradient in leaves of 10 steps, all tapes kept, over *petsc*
ample      a gradient with 4 GB, as planned, over *petsc*
tight      a gradient with room for 12 states, as planned, over *petsc*
"""

import argparse
import time

import mpi4py.MPI  # noqa: F401  (before petsc4py: it finds the MPI that that one needs)
from petsc4py import PETSc

import adjoint
from adjoint.schedules import Mixed, StoreAll
from solvers.petsc import BackwardEuler, CrankNicolson, RungeKutta, tableaux
from solvers.petsc.problems import GrayScott

METHODS = {
    "beuler": (0.5, BackwardEuler, {"ts_type": "beuler"}),
    "cn": (0.5, CrankNicolson, {"ts_type": "cn"}),
    "rk 4": (
        0.5,
        lambda p, h: RungeKutta(p, h, tableaux.RUNGE_KUTTA_4),
        {"ts_type": "rk", "ts_rk_type": "4"},
    ),
    "rk 3bs": (
        0.5,
        lambda p, h: RungeKutta(p, h, tableaux.BOGACKI_SHAMPINE_3),
        {"ts_type": "rk", "ts_rk_type": "3bs"},
    ),
}
TIGHT_STATES = 12
LEAF = 10
TITLES = ("forward", "petsc", "leaf", "leaves", "ample", "tight")


def seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peer_seconds(
    problem, size: float, num_steps: int, options: dict, *, back: bool
) -> tuple[float, float]:
    """Return the seconds of PETSc's forward solve, and of its adjoint solve if asked for."""
    database = PETSc.Options()
    for name, value in {"ts_adapt_type": "none", "ts_trajectory_type": "memory", **options}.items():
        database[name] = value
    ts, m, u = PETSc.TS().create(), problem.controls, problem.template.duplicate()
    ts.setRHSFunction(lambda _, t, u, f: problem.rhs(t, u, m, f), u.duplicate())
    matrix = problem.matrix
    ts.setRHSJacobian(lambda _, t, u, j, p: problem.rhs_jacobian(t, u, m, matrix, matrix), matrix)
    ts.setTimeStep(size)
    ts.setMaxSteps(num_steps)
    ts.setMaxTime(1e9)
    ts.setExactFinalTime(PETSc.TS.ExactFinalTime.STEPOVER)
    if back:
        ts.setSaveTrajectory()
    ts.setFromOptions()
    if ts.getType() != "rk":
        ts.getSNES().setTolerances(rtol=1e-12)
        ts.getSNES().getKSP().setTolerances(rtol=1e-12)
    problem.initial_state(m, u)
    adjoint = u.duplicate()
    adjoint.set(1.0)
    ts.setCostGradients([adjoint], None)
    forward = seconds(lambda: ts.solve(u))
    backward = seconds(ts.adjointSolve) if back else 0.0
    ts.destroy()
    return forward, backward


def own_seconds(stepper, num_steps: int, **options) -> float:
    with adjoint.Functional(stepper, num_steps, **options) as functional:
        functional.plan()  # measures before the clock starts
        functional.value_and_gradient()
        report = functional.report
        assert report is not None
        return report.forward_seconds + report.reverse_seconds


def keeping_tapes(num_steps: int) -> dict:
    """Return schedules that keep all tapes, in one leaf and in several."""
    slots = 5 * LEAF + 1  # no method keeps more than 5 states a step
    return {
        "leaf": StoreAll(num_steps, leaf_steps=num_steps),
        "leaves": Mixed(num_steps, slots * num_steps, slots, leaf_steps=LEAF),
    }


def measure(name: str, given: argparse.Namespace) -> None:
    size, make, options = METHODS[name]
    problem = GrayScott((given.cells, given.cells))
    stepper = make(problem, size)
    state = stepper.state["u"].nbytes
    best: dict[str, float] = {}

    def note(**found: float) -> None:
        best.update({key: min(best.get(key, 1e9), value) for key, value in found.items()})

    for _ in range(given.repeats):
        note(F=peer_seconds(problem, size, given.steps, options, back=False)[0])
        kept, backward = peer_seconds(problem, size, given.steps, options, back=True)
        note(A=backward, petsc=kept + backward)
        stepper.start()
        note(forward=seconds(lambda: stepper.advance(0, given.steps, cost=0.0)))
        for key, schedule in keeping_tapes(given.steps).items():
            note(**{key: own_seconds(stepper, given.steps, schedule=schedule)})
        note(ample=own_seconds(stepper, given.steps, memory="4 GB"))
        note(tight=own_seconds(stepper, given.steps, memory=TIGHT_STATES * state))
    ratios = [best["forward"] / best["F"], best["petsc"] / (best["F"] + best["A"])]
    ratios += [best[key] / best["petsc"] for key in TITLES[2:]]
    shown = "".join(f"{ratio:10.2f}" for ratio in ratios)
    print(f"{name:>8}{best['F']:9.3f}{best['A']:9.3f}{shown}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=64)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=2)
    given, of_petsc = parser.parse_known_args()
    PETSc.Options().insertString(" ".join(of_petsc))
    print(f"{given.cells} x {given.cells} cells, {given.steps} steps")
    print(f"{'':8}{'F s':>9}{'A s':>9}" + "".join(f"{title:>10}" for title in TITLES))
    for name in METHODS:
        measure(name, given)


if __name__ == "__main__":
    main()
