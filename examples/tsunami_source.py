"""Recover the source of a tsunami from tide gauges, on two or more ranks.

    mpirun -n 2 python examples/tsunami_source.py [--refine 1.5] [--steps 1000] [--memory "4 MiB"]

This is a *twin experiment*. The waves of a synthetic source are computed over the real bathymetry
off Vancouver Island, noise is added to the water levels at the gauges, and the source is recovered
from these series alone. The same model generates the data and recovers the source, so this shows
the method, not how well a real source can be determined.

The cost is the misfit at the gauges relative to the noise, plus ``|z|^2 / 2``. The unknown is
``z``; the elevation is ``A S z``, with an amplitude ``A`` and a smoothing ``S``. This change of
variable, common in data assimilation, makes the source smooth and of the order of decimetres, and
the problem well conditioned for SciPy's L-BFGS-B. Each gradient runs the waves forward and back.
Their states do not fit in the memory allowed, and go to a parallel HDF5 file.
"""

import argparse
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize
from tqdm import tqdm
from tsunami_picture import Picture

import adjoint
from adjoint.units import format_bytes
from solvers import Gauges, Grid, SalishSea, ShallowWater

Array = NDArray[np.float64]

GAUGES = {
    "Tofino": (49.15, 234.09),
    "Bamfield": (48.84, 234.86),
    "Neah Bay": (48.37, 235.38),
    "Port Renfrew": (48.54, 235.58),
    "Port Angeles": (48.13, 236.56),
    "Victoria": (48.42, 236.63),
    "Friday Harbor": (48.54, 236.99),
    "Cherry Point": (48.86, 237.24),
    "buoy west": (48.30, 234.10),
    "buoy north": (48.75, 234.20),
    "buoy south": (48.10, 234.80),
}
"""Latitude and longitude of gauges, approximately at real stations, and of three invented buoys."""

NOISE = 0.02
"""Standard deviation of a gauge reading, in metres."""
AMPLITUDE = 0.5
"""Prior standard deviation of the source, in metres."""
SMOOTHNESS = 9_000.0
"""Prior correlation length of the source, in metres."""
READING_SECONDS = 30.0
"""Time between two readings of a gauge."""


@dataclass(slots=True)
class Inversion:
    """The inverse problem, the same on all ranks, and the misfits of the search."""

    sea: SalishSea
    grid: Grid
    model: ShallowWater
    truth: Array
    num_steps: int
    misfits: list[float] = field(default_factory=list[float])

    def elevation(self, z: Array) -> Array:
        """Return the initial elevation of the whole domain for an unknown `z`."""
        width = SMOOTHNESS / self.sea.spacing[0]
        # Smoothed white noise has the inverse of 2 sqrt(pi) width as its standard deviation.
        scale = AMPLITUDE * 2 * np.sqrt(np.pi) * width
        smooth = gaussian_filter(z.reshape(self.grid.shape), width, mode="constant")
        return np.where(self.sea.bathymetry > 0, scale * smooth, 0.0)

    def elevation_transposed(self, gradient: Array) -> Array:
        """Return the derivative with respect to `z`, given that with respect to the elevation."""
        width = SMOOTHNESS / self.sea.spacing[0]
        scale = AMPLITUDE * 2 * np.sqrt(np.pi) * width
        wet = np.where(self.sea.bathymetry > 0, gradient, 0.0)
        return scale * gaussian_filter(wet, width, mode="constant").ravel()

    def readings(self) -> Array:
        """Return the times of the gauge readings, in minutes."""
        samples = self.model.gauges.num_samples(self.num_steps)
        return np.arange(samples) * self.model.gauges.every * self.model.time_step / 60

    def cost(self, z: Array, functional: adjoint.Functional) -> tuple[float, Array]:
        """Return the cost and its gradient, the same on all ranks."""
        part = self.elevation(z)[self.grid.rows, self.grid.columns]
        misfit, gradient = functional.value_and_gradient({"elevation": part})
        whole = self.grid.gather(gradient["elevation"])
        whole = self.grid.ranks.gather(whole)[0]
        self.misfits.append(misfit)
        return misfit + 0.5 * float(z @ z), self.elevation_transposed(whole) + z


def source(sea: SalishSea) -> Array:
    """Return the true source: uplift beside subsidence, as over a thrust fault."""
    north = np.radians(sea.latitude - 48.45)[:, None] * 6.371e6
    east = np.radians(sea.longitude - 234.55)[None, :] * 6.371e6 * np.cos(np.radians(48.5))
    along, across = (east - north) / np.sqrt(2), (north + east) / np.sqrt(2)
    up = 1.2 * np.exp(-((along / 30e3) ** 2) - ((across + 8e3) / 14e3) ** 2)
    down = 0.6 * np.exp(-((along / 30e3) ** 2) - ((across - 20e3) / 14e3) ** 2)
    return np.where(sea.bathymetry > 0, up - down, 0.0)


def gauge_cells(sea: SalishSea) -> list[tuple[int, int]]:
    """Return the nearest cell to each gauge that is more than 20 m deep."""
    rows, columns = np.nonzero(sea.bathymetry > 20)
    cells: list[tuple[int, int]] = []
    for latitude, longitude in GAUGES.values():
        north = sea.latitude[rows] - latitude
        east = (sea.longitude[columns] - longitude) * np.cos(np.radians(latitude))
        nearest = int(np.argmin(north**2 + east**2))
        cells.append((int(rows[nearest]), int(columns[nearest])))
    return cells


def set_up(refine: float, num_steps: int, seed: int, comm: MPI.Intracomm) -> Inversion:
    """Return the inverse problem, with synthetic observations. Collective."""
    sea = SalishSea.load(refine)
    grid = Grid(sea.bathymetry.shape, sea.spacing, comm)
    truth, cells = source(sea), gauge_cells(sea)
    here = (grid.rows, grid.columns)

    def model(gauges: Gauges, elevation: Any) -> ShallowWater:
        return ShallowWater(
            grid,
            bathymetry=sea.bathymetry[here],
            elevation=elevation,
            gauges=gauges,
            coriolis=sea.coriolis,
            viscosity=20.0,
            open_sides=("west", "south", "east", "north"),
        )

    every = max(1, round(READING_SECONDS / model(Gauges(cells), 0.0).time_step))
    twin = model(Gauges(cells, every=every), truth[here])
    exact = twin.simulate(num_steps)
    observed = exact + NOISE * np.random.default_rng(seed).standard_normal(exact.shape)
    # The model's cost is an integral over time. This sigma makes it the sum over readings that
    # independent noise requires.
    sigma = NOISE * np.sqrt(every * twin.time_step)
    gauges = Gauges(cells, observed, every=every, sigma=sigma)
    return Inversion(sea, grid, model(gauges, 0.0), truth, num_steps)


def recover(
    inversion: Inversion, functional: adjoint.Functional, iterations: int
) -> tuple[Array, list[float]]:
    """Return the recovered source and the misfit after each iteration. Collective."""
    initial = inversion.cost(np.zeros(inversion.truth.size), functional)[0]
    misfits = [initial]
    show = inversion.grid.ranks.rank == 0
    with tqdm(total=iterations, unit="iteration", disable=not show) as bar:

        def note(_: Any) -> None:
            misfits.append(inversion.misfits[-1])
            bar.set_postfix_str(f"misfit {misfits[-1]:.4g} of {initial:.4g}")
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
    return inversion.elevation(found.x), misfits


def peak_bytes() -> int:
    """Return the peak resident memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    return 0


def arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--refine", type=float, default=1.5, help="cells per 2.4 km (1.5)")
    parser.add_argument("--steps", type=int, default=1000, help="time steps (1000)")
    parser.add_argument("--iterations", type=int, default=12, help="of L-BFGS-B (12)")
    parser.add_argument("--memory", default="4 MiB", help="per rank, for states (4 MiB)")
    parser.add_argument("--file", help="keep the snapshot file here (default: a temporary one)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (0)")
    parser.add_argument("--output", default="tsunami_source.png", help="file of the picture")
    return parser.parse_args()


def main() -> None:
    """Run the experiment, print the results and draw them."""
    given, comm = arguments(), MPI.COMM_WORLD
    began = time.perf_counter()
    inversion = set_up(given.refine, given.steps, given.seed, comm)
    say = print if comm.rank == 0 else _silent
    hours = given.steps * inversion.model.time_step / 3600
    say(f"{inversion.grid.shape} cells, {given.steps} steps ({hours:.1f} h), {comm.size} ranks")
    folder = comm.bcast(tempfile.mkdtemp() if comm.rank == 0 else None)
    options: dict[str, Any] = {"comm": comm, "memory": given.memory, "file": given.file or folder}
    try:
        with adjoint.Functional(inversion.model, given.steps, **options) as functional:
            found, misfits = recover(inversion, functional, given.iterations)
        part = found[inversion.grid.rows, inversion.grid.columns]
        inversion.model.controls["elevation"][...] = part
        trace = os.path.join(folder, "run.json")
        result = adjoint.gradient(inversion.model, given.steps, **options, trace=trace)
        series = inversion.model.simulate(given.steps)
        comm.barrier()
    finally:
        if comm.rank == 0:
            shutil.rmtree(folder)
    print_results(inversion, result, found, misfits, given, say)
    if comm.rank == 0:
        assert result.timeline is not None
        gauges = inversion.model.gauges
        cells = {
            name: (row, column) for name, (row, column) in zip(GAUGES, gauges.cells, strict=True)
        }
        picture = Picture(inversion.sea, cells)
        picture.draw_sources(inversion.truth, found)
        picture.draw_series(inversion.readings(), gauges.observed, series)
        picture.draw_search(misfits, _noise(inversion))
        picture.draw_timeline(result.timeline)
        picture.save(given.output)
    say(f"{given.output} written; {time.perf_counter() - began:.0f} s in all")


def print_results(
    inversion: Inversion,
    result: adjoint.Result,
    found: Array,
    misfits: list[float],
    given: argparse.Namespace,
    say: Any,
) -> None:
    """Print the results, and what one gradient took. Collective."""
    report, comm = result.report, MPI.COMM_WORLD
    totals = np.array([report.trajectory_bytes, report.bytes_written, report.memory_bytes])
    trajectory, written, used = comm.allreduce(totals)
    peak = comm.allreduce(peak_bytes(), op=MPI.MAX)
    correlation = np.corrcoef(found.ravel(), inversion.truth.ravel())[0, 1]
    search = f"{misfits[0]:.4g} -> {misfits[-1]:.4g} (noise alone: {_noise(inversion):.4g})"
    say(f"misfit             {search}")
    say(f"source             correlation with the true one {correlation:.3f}")
    say(f"trajectory         {format_bytes(trajectory)}, on all ranks")
    say(f"memory for states  {given.memory} per rank allowed; {format_bytes(used)} used in all")
    say(f"peak memory        {format_bytes(peak)} of the largest process, libraries included")
    say(f"to file            {format_bytes(written)} per gradient")
    say(f"transfer time      {report.hidden_share:.0%} of it hidden")
    say(f"recomputation      factor {report.recomputation_factor:.2f}")
    say(f"schedule           {report.schedule}")


def _noise(inversion: Inversion) -> float:
    observed = inversion.model.gauges.observed
    return 0.0 if observed is None else 0.5 * observed.size


def _silent(*_: object) -> None:
    """Print nothing: only rank 0 prints."""


if __name__ == "__main__":
    main()
