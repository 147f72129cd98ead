"""Recover the initial state of a reaction from its final state, with PETSc's TS and TAO.

    mpirun -n 2 python examples/reaction_diffusion.py [-cells 64] [-steps 100] [-iterations 40]
        [-memory "4 MiB"] [-noise 0.01] [-output reaction_diffusion.png] [any option of PETSc]

This is a *twin experiment* with the Gray-Scott reaction of PETSc's adjoint tutorial. The reaction
is run forward from a synthetic state; its final state, with noise added, is the observation. TAO
then minimises the misfit of the final state over initial states, with a small penalty on the
distance from the first guess.

The reaction is an ordinary TS of petsc4py: Crank-Nicolson by default, or ``-ts_type rk``, or
``-ts_type theta -ts_theta_theta 0.7``; options such as ``-snes_monitor`` and ``-ksp_type bcgs``
have their usual meaning, and TAO's begin with ``-inverse_tao_``. `TSStepper` steps and reverses the
reaction, and keeps the states that it needs within the memory allowed.
"""

import sys
from dataclasses import dataclass
from typing import Any

import mpi4py.MPI  # noqa: F401  # pyright: ignore[reportUnusedImport]  (finds petsc4py its MPI)
import numpy as np
import petsc4py
from numpy.typing import NDArray

petsc4py.init(sys.argv)
from petsc4py import PETSc  # noqa: E402  (after the command line was passed to petsc4py)
from reaction_picture import draw  # noqa: E402

import adjoint  # noqa: E402
from adjoint import inverse  # noqa: E402
from adjoint.units import format_bytes  # noqa: E402
from solvers.petsc import TSStepper  # noqa: E402
from solvers.petsc.problems import GrayScott  # noqa: E402

Array = NDArray[np.float64]

TIME_STEP = 0.1
PENALTY = 3e-2
"""Weight of the squared distance from the first guess, relative to that of the misfit."""
GUESS = (1.0, 0.05)
"""The first guess of u and v, in all cells."""
SPOTS = ((0.9, 1.0, 0.25), (1.5, 1.6, 0.18), (1.7, 0.8, 0.12))
"""Spots of the true initial state: y, x and radius."""


@dataclass(slots=True)
class Twin:
    """The reaction and its observation."""

    problem: GrayScott
    noise: float
    truth: Array
    observed: Array

    def ts(self, num_steps: int) -> tuple[Any, Any]:
        """Return the reaction as a TS with the options of the command line, and its solution."""
        problem, controls = self.problem, self.problem.controls
        ts, u = PETSc.TS().create(problem.grid.comm), problem.grid.vector()
        ts.setType("cn")
        ts.setDM(problem.grid.dm)
        ts.setRHSFunction(lambda _, t, u, f: problem.rhs(t, u, controls, f), u.duplicate())
        ts.setRHSJacobian(
            lambda _, t, u, a, b: problem.rhs_jacobian(t, u, controls, a, b), problem.matrix
        )
        ts.setTimeStep(TIME_STEP)
        ts.setMaxSteps(num_steps)
        ts.setFromOptions()
        return ts, u

    def misfit(self, u: Any) -> float:
        """Return this rank's part of the misfit of a final state."""
        distance = self.problem.grid.read(u) - self.observed
        return 0.5 * float(np.sum(distance**2)) / self.noise**2

    def misfit_vjp(self, u: Any, lam: Any, gradient: Any) -> None:
        """Add the derivative of the misfit to lambda; there are no parameters."""
        del gradient
        distance = self.problem.grid.read(u) - self.observed
        self.problem.grid.own_array(lam)[...] += distance / self.noise**2


def set_up(cells: int, num_steps: int, noise: float) -> Twin:
    """Return the reaction with a synthetic observation. Collective."""
    problem = GrayScott((cells, cells), comm=PETSc.COMM_WORLD)
    y, x = np.meshgrid(
        *(2.5 / cells * np.arange(own.start, own.stop) for own in problem.grid.own), indexing="ij"
    )
    spots = sum(np.exp(-((((y - a) ** 2 + (x - b) ** 2) / r**2) ** 2)) for a, b, r in SPOTS)
    truth = np.stack([1 - 0.5 * spots, 0.25 * spots], axis=-1)
    twin = Twin(problem, noise, truth, truth)
    ts, u = twin.ts(num_steps)
    problem.grid.own_array(u)[...] = truth
    ts.solve(u)
    rank = PETSc.COMM_WORLD.getRank()
    errors = noise * np.random.default_rng([0, rank]).standard_normal(truth.shape)
    twin.observed = problem.grid.read(ts.getSolution()) + errors
    return twin


def recover(twin: Twin, functional: adjoint.Functional, iterations: int) -> inverse.Found:
    """Return the initial state that TAO finds. Collective."""
    cells = int(np.prod(twin.problem.grid.shape))
    guess = np.tile(GUESS, cells)
    unknown = inverse.Unknown("initial", bounds=(0.0, 1.5), initial=guess)
    penalty = inverse.Tikhonov(PENALTY / twin.noise**2, reference=guess)
    with inverse.Inversion(
        functional, [unknown], terms={"initial": penalty}, progress=True
    ) as inversion:
        return inversion.minimise("tao:blmvm", max_iterations=iterations, gatol=0.0, grtol=1e-4)


def gathered(twin: Twin, part: Array) -> Array:
    """Return v in all cells, on every rank. Collective."""
    shape = twin.problem.grid.shape
    whole = np.zeros(shape)
    parts = PETSc.COMM_WORLD.tompi4py().allgather((twin.problem.grid.own, part[..., 1]))
    for own, values in parts:
        whole[own] = values
    return whole


def main() -> None:
    """Run the experiment, print the results and draw them."""
    given = PETSc.Options()
    cells, num_steps = given.getInt("cells", 64), given.getInt("steps", 100)
    memory, output = given.getString("memory", "4 MiB"), given.getString("output", "")
    twin = set_up(cells, num_steps, given.getReal("noise", 0.01))
    stepper = TSStepper(
        *twin.ts(num_steps), terminal_cost=twin.misfit, terminal_cost_vjp=twin.misfit_vjp
    )
    with adjoint.Functional(stepper, num_steps, comm=stepper.comm, memory=memory) as functional:
        found = recover(twin, functional, given.getInt("iterations", 40))
        report = functional.report
    assert report is not None
    misfits = [each.misfit for each in found.history]
    guess, state = np.broadcast_to(GUESS, twin.truth.shape), found.controls["initial"]
    parts = (twin.truth, guess, twin.observed, state.reshape(twin.truth.shape))
    states = [gathered(twin, part) for part in parts]
    correlation = np.corrcoef(states[0].ravel(), states[3].ravel())[0, 1]
    say = PETSc.Sys.Print
    say(f"{cells} x {cells} cells, {num_steps} steps, {PETSc.COMM_WORLD.getSize()} ranks")
    noise_alone = cells**2
    say(f"misfit         {misfits[0]:.4g} -> {found.misfit:.4g} (noise: {noise_alone})")
    say(f"search         {found.iterations} iterations: {found.message}")
    say(f"initial state  correlation with the true one {correlation:.3f}")
    say(f"trajectory     {format_bytes(report.trajectory_bytes)} per rank; memory: {memory}")
    say(f"recomputation  factor {report.recomputation_factor:.2f}, by {report.schedule}")
    output = output or "reaction_diffusion.png"
    if functional.comm.rank == 0:
        draw(states, misfits, noise_alone, output)
    say(f"{output} written")


if __name__ == "__main__":
    main()
