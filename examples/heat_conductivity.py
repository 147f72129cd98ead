"""Recover the conductivity of a plate from a few thermometers, on two or more ranks.

    mpirun -n 2 python examples/heat_conductivity.py [--cells 48] [--steps 100] [--log search.log]
        [any of PETSc's options, such as -ksp_type cg -pc_type gamg -ksp_converged_reason]

This is a *twin experiment*. A plate with two synthetic inclusions, one conducting and one
insulating, is heated at nine spots, and thermometers on its surface are read at intervals. From
these readings, with noise added, the conductivity of every cell is recovered.

The parameter is ``z``; the logarithm of the conductivity is ``A S z``, with an amplitude ``A`` and
a smoothing ``S``. The prior of ``z`` is white noise. This makes the conductivity smooth, and the
problem well conditioned for SciPy's L-BFGS-B. A gradient takes Crank-Nicolson steps forward and
transposed steps back. All steps have the same matrix: it is factored, or its preconditioner set up,
once per gradient. With ``--log``, a search that was killed goes on where it was.
"""

import argparse
import time
from typing import Any

import mpi4py.MPI  # noqa: F401  # pyright: ignore[reportUnusedImport]  (finds petsc4py its MPI)
import numpy as np
from heat_picture import Picture
from mpi4py import MPI
from numpy.typing import NDArray
from petsc4py import PETSc
from scipy.ndimage import gaussian_filter
from scipy.sparse import identity

import adjoint
from adjoint import inverse
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


def conductivity(plate: Heat) -> inverse.Unknown:
    """Return the unknown: a smooth logarithm of the conductivity, the same on all ranks."""
    count = plate.grid.shape[0]
    cells, width = np.arange(count**2).reshape(count, count), SMOOTHNESS * count
    # Smoothed white noise has the inverse of 2 sqrt(pi) width as its standard deviation.
    scale = AMPLITUDE * 2 * np.sqrt(np.pi) * width

    def smoothed(z: Array) -> Array:
        # With reflection at the sides, the smoothing is symmetric.
        return scale * gaussian_filter(z.reshape(count, count), width).ravel()

    return inverse.Unknown(
        "log_conductivity",
        transform=inverse.Linear(smoothed, smoothed),
        prior=inverse.Gaussian(precision=identity(count**2)),
        initial=np.zeros(count**2),
        order=cells[plate.grid.own],
    )


def readings(stepper: CrankNicolson, plate: Heat) -> Array:
    """Return what the thermometers show at the present controls, on all ranks. Collective."""
    own = [plate.sense(u) for _, u in stepper.observed_states()]
    return np.sum(MPI.COMM_WORLD.allgather(np.array(own)), axis=0)


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


def set_up(count: int, num_steps: int, seed: int) -> tuple[CrankNicolson, Heat]:
    """Return the plate and its stepper, with synthetic readings. Collective."""
    size = DURATION / num_steps
    every = max(1, num_steps // READINGS)
    times = [size * step for step in range(every, num_steps + 1, every)]
    lattice = np.linspace(0, count - 1, THERMOMETERS + 2)[1:-1].round().astype(int)
    cells = [(int(row), int(column)) for row in lattice for column in lattice]

    def plate_with(sensors: Sensors) -> tuple[CrankNicolson, Heat]:
        plate = Heat(
            (count, count),
            power=lambda t: float(np.sin(2 * np.pi * t / DURATION) ** 2),
            sensors=sensors,
            comm=MPI.COMM_WORLD,
        )
        plate.source[...] = plate.grid.field_of(heaters(count))
        return CrankNicolson(plate, size), plate

    stepper, plate = plate_with(Sensors(cells, times))
    plate.controls["log_conductivity"][...] = plate.grid.field_of(inclusions(count))
    exact = readings(stepper, plate)
    observed = exact + NOISE * np.random.default_rng(seed).standard_normal(exact.shape)
    return plate_with(Sensors(cells, times, observed, NOISE))


def arguments() -> argparse.Namespace:
    """Return the arguments of the command line; unknown ones are options of PETSc."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", type=int, default=48, help="cells along each side (48)")
    parser.add_argument("--steps", type=int, default=100, help="time steps (100)")
    parser.add_argument("--iterations", type=int, default=20, help="of L-BFGS-B (20)")
    parser.add_argument("--memory", default="256 KiB", help="per rank, for states (256 KiB)")
    parser.add_argument("--log", help="file by which a killed search goes on (none)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (0)")
    parser.add_argument("--output", default="heat_conductivity.png", help="file of the picture")
    given, of_petsc = parser.parse_known_args()
    PETSc.Options().insertString(" ".join(of_petsc))
    return given


def main() -> None:
    """Run the experiment, print the results and draw them."""
    given, comm = arguments(), MPI.COMM_WORLD
    began = time.perf_counter()
    stepper, plate = set_up(given.cells, given.steps, given.seed)
    say = print if comm.rank == 0 else _silent
    say(f"{given.cells} x {given.cells} cells, {given.steps} steps, {comm.size} ranks")
    found = search(stepper, plate, given)
    modelled, sensors = readings(stepper, plate), plate.sensors
    assert sensors.observed is not None
    noise, truth = 0.5 * sensors.observed.size, inclusions(given.cells)
    log_conductivity = np.zeros(truth.shape)
    for cells, part in comm.allgather((plate.grid.own, found.controls["log_conductivity"])):
        log_conductivity[cells] = part
    print_results(found, log_conductivity, noise, given.memory, say)
    if comm.rank == 0:
        picture = Picture(given.cells)
        picture.draw_conductivities(truth, log_conductivity, sensors.cells)
        picture.draw_readings(sensors.times, sensors.observed, modelled)
        picture.draw_search([each.misfit for each in found.history], noise)
        picture.save(given.output)
    say(f"{given.output} written; {time.perf_counter() - began:.0f} s in all")


def search(stepper: CrankNicolson, plate: Heat, given: argparse.Namespace) -> inverse.Found:
    """Return what L-BFGS-B finds; the stepper's controls are then that. Collective."""
    log = None if given.log is None else inverse.EvaluationLog(given.log)
    options: dict[str, Any] = {"comm": MPI.COMM_WORLD, "memory": given.memory}
    with (
        adjoint.Functional(stepper, given.steps, **options) as functional,
        inverse.Inversion(functional, [conductivity(plate)], log=log, progress=True) as inversion,
    ):
        return inversion.minimise(max_iterations=given.iterations, maxcor=20)


def print_results(
    found: inverse.Found, log_conductivity: Array, noise: float, memory: str, say: Any
) -> None:
    """Print the results, and what one gradient took."""
    truth, first = inclusions(log_conductivity.shape[0]), found.history[0].misfit
    correlation = np.corrcoef(log_conductivity.ravel(), truth.ravel())[0, 1]
    say(f"misfit             {first:.4g} -> {found.misfit:.4g} (noise alone: {noise:.4g})")
    say(f"conductivity       correlation of its logarithm with the true one {correlation:.3f}")
    say(f"gradients          {len(found.history)}, {found.replayed} of them from the log")
    report = found.report
    if report is not None:
        used = format_bytes(report.memory_bytes)
        say(f"trajectory         {format_bytes(report.trajectory_bytes)} on this rank")
        say(f"memory for states  {memory} per rank allowed; {used} used")
        say(f"recomputation      factor {report.recomputation_factor:.2f}")
        say(f"schedule           {report.schedule}")


def _silent(*_: object) -> None:
    """Print nothing: only rank 0 prints."""


if __name__ == "__main__":
    main()
