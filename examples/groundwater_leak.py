"""Where did it leak into the groundwater, and when? From readings of twelve wells, in FEniCSx.

    mpirun -n 2 python examples/groundwater_leak.py [-cells 24] [-steps 60] [-iterations 40]
        [-memory "100 kB"] [-noise 0.01] [-output groundwater_leak.png] [any option of PETSc]

This is a *twin experiment*. Groundwater flows from left to right through an aquifer of uneven
permeability (Darcy's law, solved beforehand). It carries, disperses and sorbs a pollutant: with
Freundlich's isotherm the step is nonlinear. Readings of a run with a known leak, with noise added,
are the data. The unknowns are the place of the leak, a Function, and its release in each step. TAO
minimises misfit plus prior over both, non-negative.

All the physics is the UFL form in `transport`. `FormStepper` makes the gradient of it.
"""

# UFL's operators come without types.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import petsc4py
from mpi4py import MPI  # before PETSc
from numpy.typing import NDArray

petsc4py.init(sys.argv)
import ufl  # noqa: E402  (after the command line was passed to petsc4py)
from groundwater_picture import draw  # noqa: E402
from petsc4py import PETSc  # noqa: E402
from tqdm import tqdm  # noqa: E402
from ufl import dx, grad, inner  # noqa: E402

import adjoint  # noqa: E402
from adjoint.units import format_bytes  # noqa: E402
from solvers.fenicsx import FormStepper, PointMisfit, on_one_rank  # noqa: E402

from dolfinx import fem, la, mesh  # noqa: E402  # isort: skip  (after h5py, which solvers.fenicsx loads)
from dolfinx.fem import petsc  # noqa: E402  # isort: skip

Array = NDArray[np.float64]

LENGTH, DURATION = 2.0, 3.0
DISPERSION = 0.01
SORPTION, EXPONENT, FLOOR = 0.5, 0.8, 0.05
"""Of Freundlich's isotherm ``K (c + floor)^p``; the floor keeps its slope finite at zero."""
LEAK = (0.45, 0.6)
"""Where the true leak is."""
WIDTH = 0.06
WELLS = [(x, y) for x in (0.3, 0.6, 1.0) for y in (0.2, 0.4, 0.6, 0.8)]
STEPS_PER_READING = 2
PLACE_PRIOR, SMOOTHNESS, RELEASE_PRIOR = 0.1, 1e-3, 0.1
"""Weights of the squared place, its squared slope, and the squared release."""
SMOOTHING = 0.1
"""The release is smooth over this time."""
SOLVERS = {"ksp_type": "gmres", "pc_type": "bjacobi"}
"""Defaults: the steps are short, so that a simple preconditioner is enough."""


@dataclass(slots=True)
class Aquifer:
    """Spaces and Functions of the problem, on all ranks."""

    cells: int
    num_steps: int
    mesh: Any = None
    space: Any = None
    place: Any = None
    """The source by place, a Function."""
    release: Any = None
    """By what it is multiplied in the present step, a Constant."""
    misfits: list[float] = field(default_factory=list[float])

    def __post_init__(self) -> None:
        corners = ((0.0, 0.0), (LENGTH, 1.0))
        shape = (int(LENGTH * self.cells), self.cells)
        self.mesh = mesh.create_rectangle(MPI.COMM_WORLD, corners, shape)
        self.space = fem.functionspace(self.mesh, ("Lagrange", 1))
        self.place = fem.Function(self.space, name="place")
        self.release = fem.Constant(self.mesh, 0.0)

    def side(self, x: float) -> Any:
        """Return the dofs at one end of the aquifer."""
        return fem.locate_dofs_geometrical(self.space, lambda at: np.isclose(at[0], x))

    def velocity(self) -> Any:
        """Return Darcy's velocity, ``-k grad h``, constant in each cell. Collective."""
        h, v = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        x, y = ufl.SpatialCoordinate(self.mesh)
        permeability: Any = ufl.exp(0.6 * ufl.sin(5 * x + 1) * ufl.cos(6 * y))
        ends = [(LENGTH, 0.0), (0.0, LENGTH)]
        head = petsc.LinearProblem(
            permeability * inner(grad(h), grad(v)) * dx,
            fem.Constant(self.mesh, 0.0) * v * dx,
            bcs=[fem.dirichletbc(level, self.side(end), self.space) for end, level in ends],
            petsc_options_prefix="head_",
            petsc_options={"ksp_type": "cg", "pc_type": "jacobi", "ksp_rtol": 1e-12},
        ).solve()
        cells = fem.functionspace(self.mesh, ("DG", 0, (2,)))
        velocity = fem.Function(cells)
        at = cells.element.interpolation_points
        velocity.interpolate(fem.Expression(-0.6 * permeability * grad(head), at))
        return velocity

    def transport(self, released: Array, readings: Array | None, noise: float) -> FormStepper:
        """Return the stepper of the concentration. Collective.

        Parameters
        ----------
        released
            The release in each step: the control.
        readings
            Shape (readings, wells); None for a run that makes them.
        noise
            Standard deviation of a reading.
        """
        c, c0, v = fem.Function(self.space), fem.Function(self.space), ufl.TestFunction(self.space)
        size = DURATION / self.num_steps

        def held(at: Any) -> Any:
            """What a volume holds: dissolved and sorbed."""
            return at + SORPTION * (at + FLOOR) ** EXPONENT

        residual: Any = (held(c) - held(c0)) / size * v * dx
        residual += inner(self.velocity(), grad(c)) * v * dx
        residual += DISPERSION * inner(grad(c), grad(v)) * dx
        residual -= self.release * self.place * v * dx
        prior = PLACE_PRIOR * self.place**2 + SMOOTHNESS * inner(grad(self.place), grad(self.place))
        area = LENGTH
        penalty = RELEASE_PRIOR * self.release**2 / (2 * area) * size
        steps = range(STEPS_PER_READING, self.num_steps + 1, STEPS_PER_READING)
        misfits = []
        if readings is not None:
            misfits = [PointMisfit(c, WELLS, readings, steps, weight=noise**-2)]
        return FormStepper(
            residual,
            c,
            c0,
            controls={"place": self.place, "release": self.release},
            per_step={"release": released},
            bcs=[fem.dirichletbc(0.0, self.side(0.0), self.space)],
            running_cost=penalty * dx(domain=self.mesh),
            terminal_cost=prior / 2 * dx,
            misfits=misfits,
            options_prefix="leak_",
            quadrature_degree=3,
        )


def true_release(num_steps: int) -> Array:
    """Return the release of the true leak: it sets in, and stops some time later."""
    t = DURATION * (np.arange(num_steps) + 0.5) / num_steps
    return 8 * np.exp(-(((t - 0.7) / 0.25) ** 2)) + 5 * np.exp(-(((t - 1.6) / 0.2) ** 2))


def observe(aquifer: Aquifer, noise: float) -> tuple[Array, Any]:
    """Run the true leak; return noisy readings, and its place for the picture. Collective."""
    aquifer.place.interpolate(
        lambda x: np.exp(-((x[0] - LEAK[0]) ** 2 + (x[1] - LEAK[1]) ** 2) / WIDTH**2)
    )
    stepper = aquifer.transport(true_release(aquifer.num_steps), None, noise)
    readings: list[Array] = []
    probe: Any = None
    for k, c in stepper.trajectory(aquifer.num_steps):
        probe = probe or PointMisfit(c, WELLS, np.zeros((1, len(WELLS))), [1])
        if k > 0 and k % STEPS_PER_READING == 0:
            reading = np.zeros(len(WELLS))
            reading[probe.index] = probe.values()
            readings.append(aquifer.mesh.comm.allreduce(reading))
    clean = np.array(readings)
    errors = np.random.default_rng(0).standard_normal(clean.shape)
    truth = on_one_rank(aquifer.place)
    aquifer.place.x.array[:] = 0.0
    return clean + noise * errors, truth


class Search:
    """The minimisation by TAO over place and release, in units in which their norms are L2 norms.

    A vector of TAO has each rank's dofs of the place; those of rank 0 end with the release.
    """

    def __init__(self, aquifer: Aquifer, functional: adjoint.Functional) -> None:
        self.aquifer, self.functional = aquifer, functional
        self.comm = aquifer.mesh.comm
        v = ufl.TestFunction(aquifer.space)
        mass = fem.assemble_vector(fem.form(v * dx))
        mass.scatter_reverse(la.InsertMode.add)
        place = np.sqrt(mass.array[: functional.stepper.controls["place"].size])
        release = np.full(aquifer.num_steps, np.sqrt(DURATION / aquifer.num_steps))
        self.owned = place.size
        t = DURATION * np.arange(aquifer.num_steps) / aquifer.num_steps
        weights = np.exp(-(((t[:, None] - t) / SMOOTHING) ** 2) / 2)
        self.smooth = weights / weights.sum(axis=1, keepdims=True)
        self.scale = np.concatenate([place, release]) if self.comm.rank == 0 else place

    def vector(self, of: float = 0.0) -> Any:
        """Return a vector of TAO."""
        made: Any = PETSc.Vec().createMPI((self.scale.size, PETSc.DETERMINE), comm=self.comm)
        made.set(of)
        return made

    def controls(self, x: Any) -> dict[str, Array]:
        """Return the controls of a vector. Collective."""
        values = x.getArray(readonly=True) / self.scale
        rough = self.comm.bcast(values[self.owned :])
        return {"place": values[: self.owned], "release": self.smooth @ rough}

    def objective(self, tao: Any, x: Any, slope: Any) -> float:
        """Return the cost, and write its gradient. Collective."""
        del tao
        cost, gradient = self.functional.value_and_gradient(self.controls(x))
        self.aquifer.misfits.append(cost)
        parts = [gradient["place"]]
        if self.comm.rank == 0:
            parts.append(self.smooth.T @ gradient["release"])
        slope.setArray(np.concatenate(parts) / self.scale)
        return cost

    def run(self, iterations: int) -> dict[str, Array]:
        """Return the controls that TAO finds. Collective."""
        x = self.vector()
        x.setArray(np.where(np.arange(self.scale.size) < self.owned, 0.05, 1.0) * self.scale)
        tao: Any = PETSc.TAO().create(self.comm)
        tao.setType("blmvm")
        tao.setObjectiveGradient(self.objective, self.vector())
        tao.setVariableBounds((self.vector(), self.vector(PETSc.INFINITY)))
        tao.setTolerances(gatol=0.0, grtol=1e-5)
        tao.setMaximumIterations(iterations)
        tao.setFromOptions()
        with tqdm(total=iterations, unit="iteration", disable=self.comm.rank > 0) as bar:

            def show(tao: Any) -> None:
                costs = self.aquifer.misfits
                bar.set_postfix_str(f"cost {costs[-1]:.4g} of {costs[0]:.4g}")
                bar.update(tao.getIterationNumber() - bar.n)

            tao.setMonitor(show)
            tao.solve(x)
        return {name: values.copy() for name, values in self.controls(x).items()}


def main() -> None:
    """Run the experiment, print the results and draw them."""
    given: Any = PETSc.Options()
    num_steps, noise = given.getInt("steps", 60), given.getReal("noise", 0.01)
    memory, output = given.getString("memory", "100 kB"), given.getString("output", "")
    for name, value in SOLVERS.items():
        if not given.hasName(f"leak_{name}"):
            given[f"leak_{name}"] = value
    aquifer = Aquifer(given.getInt("cells", 24), num_steps)
    readings, truth = observe(aquifer, noise)
    stepper = aquifer.transport(np.zeros(num_steps), readings, noise)
    comm = aquifer.mesh.comm
    ranks = comm if comm.size > 1 else None
    with adjoint.Functional(stepper, num_steps, comm=ranks, memory=memory) as functional:
        found = Search(aquifer, functional).run(given.getInt("iterations", 40))
        report = functional.report
    assert report is not None
    aquifer.place.x.array[: found["place"].size] = found["place"]
    aquifer.place.x.scatter_forward()
    picture = on_one_rank(aquifer.place)
    if picture is None or truth is None:
        return
    released = true_release(num_steps)
    peak = picture[0][np.argmax(picture[2])]
    away = float(np.hypot(*(peak - np.array(LEAK))))
    correlation = np.corrcoef(released, found["release"])[0, 1]
    costs = aquifer.misfits
    print(f"{2 * aquifer.cells} x {aquifer.cells} cells, {num_steps} steps, {comm.size} ranks")
    print(f"cost           {costs[0]:.4g} -> {min(costs):.4g} ({readings.size} readings)")
    print(f"place          {away:.3f} from the true leak, {away * aquifer.cells:.1f} cells")
    print(f"release        correlation with the true one {correlation:.3f}")
    print(f"gradients      {len(costs)}, recomputation {report.recomputation_factor:.2f}")
    print(f"trajectory     {format_bytes(report.trajectory_bytes)} per rank; memory: {memory}")
    output = output or "groundwater_leak.png"
    draw(truth, picture, WELLS, (released, found["release"], DURATION), costs, output)
    print(f"{output} written")


if __name__ == "__main__":
    main()
