"""Time of a gradient of `FormStepper`, relative to a DOLFINx loop by hand and to dolfinx-adjoint.

    python tests/benchmarks/fenicsx_against_dolfinx_adjoint.py [--peer FOLDER] [--repeats 5]
        [--cases linear:32:500 nonlinear:32:100] [--store]

A case is a kind, cells along each side of the unit square, and steps. Everything in a row is taken
in one run, interleaved, each the best of its repeats:

F, A        seconds of the loop by hand and of its adjoint loop (`diffusion_forms.ByHand`)
forward     our forward run, over F
tapes       our gradient where all tapes fit, over F + A
24 states   the same with memory for 24 states, over 2 F + A
peer        dolfinx-adjoint's run and derivative at other controls, over *tapes*
scheduled   the same with its Revolve schedule, over *24 states*

The peer, 0.4.0, cannot be installed beside DOLFINx's wheel by its requirements. Put it, with what
it needs of them, in a folder of its own, and name that as FOLDER::

    pip install --target FOLDER --no-deps dolfinx-adjoint==0.4.0 fenicsx-compat pyadjoint-ad \
        checkpoint-schedules sympy mpmath

``--store`` prints its costs and projections of its gradients on small meshes, which
tests/solvers/fenicsx compares with.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import h5py  # noqa: F401  (before DOLFINx, which has another HDF5)
import mpi4py.MPI  # noqa: F401  (DOLFINx needs it loaded)

sys.path.insert(0, str(Path(__file__).parents[1] / "oracles"))

from diffusion_forms import ByHand, Diffusion, projections

import adjoint

TITLES = ("forward", "tapes", "24 states", "peer", "scheduled")
DIRECT = {"ksp_type": "preonly", "pc_type": "lu"}
STORED = (("linear", 6, 500, None), ("nonlinear", 6, 100, 4))


class Peer:
    """The same problem, recorded by dolfinx-adjoint."""

    def __init__(self, kind: str, cells: int, steps: int, degree: int | None, snapshots: int = 0):
        import dolfinx_adjoint as da  # noqa: PLC0415
        import pyadjoint  # noqa: PLC0415

        warnings.filterwarnings("ignore")
        tape = pyadjoint.Tape()
        pyadjoint.set_working_tape(tape)
        pyadjoint.continue_annotation()
        if snapshots:
            from checkpoint_schedules import Revolve  # noqa: PLC0415

            tape.enable_checkpointing(Revolve(steps, snapshots))
        self.problem = p = Diffusion(kind, cells, steps, degree, make=da.Function)
        condition = da.dirichletbc(da.Function(p.space), p.side)
        options: dict[str, Any] = {"bcs": [condition], "adjoint_petsc_options": DIRECT}
        da.assign(p.start, p.u0)
        if kind == "linear":
            import ufl  # noqa: PLC0415

            a, right = ufl.system(p.residual(ufl.TrialFunction(p.space)))
            options |= {"u": p.u, "petsc_options": DIRECT, "petsc_options_prefix": "peer_linear_"}
            self.solver: Any = da.LinearProblem(a, right, **options)
        else:
            da.assign(p.start, p.u)
            newton = {"rtol": 1e-12, "atol": 1e-13, "stol": 1e-9, "linesearch_type": "basic"}
            given = {f"snes_{name}": value for name, value in newton.items()}
            options |= {"petsc_options": DIRECT | given, "petsc_options_prefix": "peer_nonlinear_"}
            self.solver = da.NonlinearProblem(p.residual(p.u), p.u, **options)
        for _ in tape.timestepper(iter(range(steps))):
            self.solver.solve()
            da.assign(p.u, p.u0)
        cost = da.assemble_scalar(p.cost)
        self.controls = list(p.controls.values())
        self.functional = pyadjoint.ReducedFunctional(
            cost, [pyadjoint.Control(each) for each in self.controls]
        )

    def gradient(self):
        """Return cost and gradients at controls that have moved a little."""
        for control in self.controls:
            control.x.array[:] *= 1 + 1e-14
        cost = self.functional(self.controls)
        return float(cost), [each.x.array for each in self.functional.derivative()]


def seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(kind: str, cells: int, steps: int, given: argparse.Namespace) -> str:
    """Return the row of a case."""
    problem = Diffusion(kind, cells, steps)
    by_hand, stepper = ByHand(problem), Diffusion(kind, cells, steps).stepper()
    state = stepper.state["u"].nbytes
    tapes = adjoint.Functional(stepper, steps, memory=2 * steps * state)
    states = adjoint.Functional(stepper, steps, memory=24 * state)

    def forward():
        stepper.start()
        stepper.advance(0, steps)

    works = {
        "F": by_hand.forward,
        "A": by_hand.reverse,
        "forward": forward,
        "tapes": tapes.value_and_gradient,
        "24 states": states.value_and_gradient,
    }
    if given.peer:
        works["peer"] = Peer(kind, cells, steps, None).gradient
        works["scheduled"] = Peer(kind, cells, steps, None, snapshots=given.snapshots).gradient
    for work in works.values():
        work()
    best = dict.fromkeys(works, float("inf"))
    for _ in range(given.repeats):
        for name, work in works.items():
            best[name] = min(best[name], seconds(work))
    f, a = best["F"], best["A"]
    bounds = {"forward": f, "tapes": f + a, "24 states": 2 * f + a}
    ratios = {name: best[name] / bound for name, bound in bounds.items()}
    if given.peer:
        ratios |= {"peer": best["peer"] / best["tapes"]}
        ratios |= {"scheduled": best["scheduled"] / best["24 states"]}
    figures = "".join(f"{ratios.get(title, float('nan')):11.2f}" for title in TITLES)
    return f"{kind:10}{cells:6}{steps:6}{f:9.3f}{a:8.3f}{figures}"


def store() -> None:
    """Print the peer's costs, and projections of its gradients."""
    for case in STORED:
        peer = Peer(*case)
        for control in peer.controls:
            control.x.array[:] /= 1 + 1e-14
        cost, gradients = peer.gradient()
        print(case, repr(cost))
        for name, gradient in zip(peer.problem.controls, gradients, strict=True):
            print(name, projections(peer.problem, gradient))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peer", help="folder with dolfinx-adjoint")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--snapshots", type=int, default=20, help="of the peer's schedule (20)")
    parser.add_argument("--cases", nargs="+", default=["linear:32:500", "nonlinear:32:100"])
    parser.add_argument("--store", action="store_true", help="print the peer's gradients")
    given = parser.parse_args()
    if given.peer:
        sys.path.append(given.peer)
    if given.store:
        store()
        return
    print(f"{'kind':10}{'cells':>6}{'steps':>6}{'F':>9}{'A':>8}", end="")
    print("".join(f"{title:>11}" for title in TITLES))
    for case in given.cases:
        kind, cells, steps = case.split(":")
        print(measure(kind, int(cells), int(steps), given), flush=True)


if __name__ == "__main__":
    main()
