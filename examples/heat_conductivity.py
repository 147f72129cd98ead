"""Recover the conductivity of a plate from a few thermometers, on two or more ranks.

    mpirun -n 2 python examples/heat_conductivity.py [--cells 48] [--steps 100] [any of PETSc's
        options, such as -ksp_type cg -pc_type gamg -ksp_converged_reason]

This is a *twin experiment*. A plate with two synthetic inclusions, one conducting and one
insulating, is heated at nine spots, and thermometers on its surface are read at intervals. From
these readings, with noise added, the conductivity of every cell is recovered.

The cost is the misfit of the thermometers relative to the noise, plus ``|z|^2 / 2``. The unknown is
``z``; the logarithm of the conductivity is ``A S z``, with an amplitude ``A`` and a smoothing
``S``. This prior makes the conductivity smooth, and the problem well conditioned for SciPy's
L-BFGS-B. A gradient takes Crank-Nicolson steps forward and transposed steps back. All steps have
the same matrix: it is factored, or its preconditioner set up, once per gradient.
"""

import argparse
import time
from dataclasses import dataclass, field
from typing import Any

import mpi4py.MPI  # noqa: F401  # pyright: ignore[reportUnusedImport]  (finds petsc4py its MPI)
import numpy as np
from heat_picture import Picture
from mpi4py import MPI
from numpy.typing import NDArray
from petsc4py import PETSc
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize
from tqdm import tqdm

import adjoint
from adjoint.units import format_bytes
from solvers import Sensors
from solvers.petsc import CrankNicolson
from solvers.petsc.problems import Heat

Array = NDArray[np.float64]

DURATION = 0.2
"""Length of the experiment, in units of the time in which heat diffuses across the plate."""
READINGS = 20
"""Number of readings of every thermometer."""
THERMOMETERS = 7
"""Thermometers along each side of their square lattice."""
NOISE = 0.01
"""Standard deviation of a reading, in degrees; the plate warms up to about 1 degree."""
AMPLITUDE = 0.7
"""Prior standard deviation of the logarithm of the conductivity."""
SMOOTHNESS = 0.06
"""Prior correlation length of the conductivity, in sides of the plate."""


@dataclass(slots=True)
class Inversion:
    """The inverse problem, the same on all ranks, and the misfits of the search."""

    plate: Heat
    stepper: CrankNicolson
    truth: Array
    misfits: list[float] = field(default_factory=list[float])

    def log_conductivity(self, z: Array) -> Array:
        """Return the logarithm of the conductivity of all cells for an unknown `z`."""
        return self._scale() * gaussian_filter(z.reshape(self.truth.shape), self._width())

    def cost(self, z: Array, functional: adjoint.Functional) -> tuple[float, Array]:
        """Return the cost and its gradient, the same on all ranks."""
        own = self.plate.grid.own
        part = {"log_conductivity": self.log_conductivity(z)[own]}
        misfit, gradient = functional.value_and_gradient(part)
        whole = np.zeros(self.truth.shape)
        for cells, of_rank in MPI.COMM_WORLD.allgather((own, gradient["log_conductivity"])):
            whole[cells] = of_rank
        self.misfits.append(misfit)
        # With reflection at the sides, the smoothing is symmetric.
        smoothed = self._scale() * gaussian_filter(whole, self._width()).ravel()
        return misfit + 0.5 * float(z @ z), smoothed + z

    def readings(self) -> Array:
        """Return what the thermometers show at the present controls, on all ranks. Collective."""
        own = [self.plate.sense(u) for _, u in self.stepper.observed_states()]
        return np.sum(MPI.COMM_WORLD.allgather(np.array(own)), axis=0)

    def _width(self) -> float:
        return SMOOTHNESS * self.truth.shape[0]

    def _scale(self) -> float:
        # Smoothed white noise has the inverse of 2 sqrt(pi) width as its standard deviation.
        return AMPLITUDE * 2 * np.sqrt(np.pi) * self._width()


def cells_of(count: int) -> tuple[Array, Array]:
    """Return the coordinates y and x of the cells of a square plate."""
    places = (np.arange(count) + 0.5) / count
    y, x = np.meshgrid(places, places, indexing="ij")
    return y, x


def inclusions(count: int) -> Array:
    """Return the true logarithm of the conductivity, with a high and a low inclusion."""
    y, x = cells_of(count)
    conducting = 1.2 * np.exp(-(((y - 0.35) / 0.13) ** 2) - ((x - 0.3) / 0.16) ** 2)
    insulating = 1.2 * np.exp(-(((y - 0.62) / 0.18) ** 2) - ((x - 0.68) / 0.12) ** 2)
    return conducting - insulating


def heaters(count: int) -> Array:
    """Return the strength of the heat source: nine spots."""
    y, x = cells_of(count)
    total = np.zeros((count, count))
    for row in (0.2, 0.5, 0.8):
        for column in (0.2, 0.5, 0.8):
            total += 150 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 0.004)
    return total


def set_up(count: int, num_steps: int, seed: int) -> Inversion:
    """Return the inverse problem, with synthetic readings. Collective."""
    size = DURATION / num_steps
    every = max(1, num_steps // READINGS)
    times = [size * step for step in range(every, num_steps + 1, every)]
    lattice = np.linspace(0, count - 1, THERMOMETERS + 2)[1:-1].round().astype(int)
    cells = [(int(row), int(column)) for row in lattice for column in lattice]
    truth = inclusions(count)

    def inversion(sensors: Sensors) -> Inversion:
        plate = Heat(
            (count, count),
            power=lambda t: float(np.sin(2 * np.pi * t / DURATION) ** 2),
            sensors=sensors,
            comm=MPI.COMM_WORLD,
        )
        plate.source[...] = plate.grid.field_of(heaters(count))
        return Inversion(plate, CrankNicolson(plate, size), truth)

    twin = inversion(Sensors(cells, times))
    twin.plate.controls["log_conductivity"][...] = twin.plate.grid.field_of(truth)
    exact = twin.readings()
    observed = exact + NOISE * np.random.default_rng(seed).standard_normal(exact.shape)
    return inversion(Sensors(cells, times, observed, NOISE))


def recover(inversion: Inversion, functional: adjoint.Functional, iterations: int) -> Array:
    """Return the recovered logarithm of the conductivity of all cells. Collective."""
    show = MPI.COMM_WORLD.rank == 0
    with tqdm(total=iterations, unit="iteration", disable=not show) as bar:

        def note(_: Any) -> None:
            bar.set_postfix_str(f"misfit {inversion.misfits[-1]:.4g} of {inversion.misfits[0]:.4g}")
            bar.update()

        found = minimize(
            inversion.cost,
            np.zeros(inversion.truth.size),
            args=(functional,),
            jac=True,
            method="L-BFGS-B",
            callback=note,
            options={"maxiter": iterations, "maxcor": 20},
        )
    return inversion.log_conductivity(found.x)


def arguments() -> argparse.Namespace:
    """Return the arguments of the command line; unknown ones are options of PETSc."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", type=int, default=48, help="cells along each side (48)")
    parser.add_argument("--steps", type=int, default=100, help="time steps (100)")
    parser.add_argument("--iterations", type=int, default=20, help="of L-BFGS-B (20)")
    parser.add_argument("--memory", default="256 KiB", help="per rank, for states (256 KiB)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (0)")
    parser.add_argument("--output", default="heat_conductivity.png", help="file of the picture")
    given, of_petsc = parser.parse_known_args()
    PETSc.Options().insertString(" ".join(of_petsc))
    return given


def main() -> None:
    """Run the experiment, print the results and draw them."""
    given, comm = arguments(), MPI.COMM_WORLD
    began = time.perf_counter()
    inversion = set_up(given.cells, given.steps, given.seed)
    say = print if comm.rank == 0 else _silent
    say(f"{given.cells} x {given.cells} cells, {given.steps} steps, {comm.size} ranks")
    sensors = inversion.plate.sensors
    assert sensors.observed is not None
    options: dict[str, Any] = {"comm": comm, "memory": given.memory}
    with adjoint.Functional(inversion.stepper, given.steps, **options) as functional:
        found = recover(inversion, functional, given.iterations)
        report = functional.report
    assert report is not None
    modelled = inversion.readings()
    print_results(inversion, found, report, given.memory, say)
    if comm.rank == 0:
        picture = Picture(inversion.truth.shape[0])
        picture.draw_conductivities(inversion.truth, found, sensors.cells)
        picture.draw_readings(sensors.times, sensors.observed, modelled)
        picture.draw_search(inversion.misfits, 0.5 * sensors.observed.size)
        picture.save(given.output)
    say(f"{given.output} written; {time.perf_counter() - began:.0f} s in all")


def print_results(
    inversion: Inversion, found: Array, report: adjoint.Report, memory: str, say: Any
) -> None:
    """Print the results, and what one gradient took."""
    observed, misfits = inversion.plate.sensors.observed, inversion.misfits
    noise = 0.0 if observed is None else 0.5 * observed.size
    correlation = np.corrcoef(found.ravel(), inversion.truth.ravel())[0, 1]
    say(f"misfit             {misfits[0]:.4g} -> {misfits[-1]:.4g} (noise alone: {noise:.4g})")
    say(f"conductivity       correlation of its logarithm with the true one {correlation:.3f}")
    say(f"trajectory         {format_bytes(report.trajectory_bytes)} on this rank")
    say(f"memory for states  {memory} per rank allowed; {format_bytes(report.memory_bytes)} used")
    say(f"recomputation      factor {report.recomputation_factor:.2f}")
    say(f"schedule           {report.schedule}")


def _silent(*_: object) -> None:
    """Print nothing: only rank 0 prints."""


if __name__ == "__main__":
    main()
