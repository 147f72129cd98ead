"""Recover the source of a tsunami from tide gauges, on two or more ranks.

    mpirun -n 2 python examples/tsunami_source.py [--refine 1.5] [--steps 1000] [--memory "4 MiB"]

This is a *twin experiment*. The waves of a synthetic source are computed over the real bathymetry
off Vancouver Island, noise is added to the water levels at the gauges, and the source is recovered
from these series alone. The same model generates the data and recovers the source, so this shows
the method, not how well a real source can be determined.

The parameter is ``z``; the elevation is ``A S z``, with an amplitude ``A`` and a smoothing ``S``.
The prior of ``z`` is white noise. This change of variable, common in data assimilation, makes the
source smooth and of the order of decimetres, and the problem well conditioned for SciPy's L-BFGS-B.
Each gradient runs the waves forward and back. Their states do not fit in the memory allowed, and go
to a parallel HDF5 file. With ``--log`` and ``--file``, a search that was killed is continued.
"""

import argparse
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.sparse import identity
from tsunami_picture import Picture

import adjoint
from adjoint import inverse
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
class Twin:
    """The model with its synthetic observations, and the true source; the same on all ranks."""

    sea: SalishSea
    grid: Grid
    model: ShallowWater
    truth: Array

    def unknown(self) -> inverse.Unknown:
        """Return the unknown: a smooth elevation of the water."""
        shape, width = self.grid.shape, SMOOTHNESS / self.sea.spacing[0]
        # Smoothed white noise has the inverse of 2 sqrt(pi) width as its standard deviation.
        scale = np.where(self.sea.bathymetry > 0, AMPLITUDE * 2 * np.sqrt(np.pi) * width, 0.0)

        def smooth(field: Array) -> Array:
            return gaussian_filter(field.reshape(shape), width, mode="constant")

        return inverse.Unknown(
            "elevation",
            transform=inverse.Linear(
                lambda z: (scale * smooth(z)).ravel(),
                lambda gradient: smooth(scale * gradient.reshape(shape)).ravel(),
            ),
            prior=inverse.Gaussian(precision=identity(self.truth.size)),
            order=np.arange(self.truth.size).reshape(shape)[self.grid.rows, self.grid.columns],
        )


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


def set_up(refine: float, num_steps: int, seed: int, comm: MPI.Intracomm) -> Twin:
    """Return the model, with synthetic observations. Collective."""
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
    return Twin(sea, grid, model(gauges, 0.0), truth)


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
    parser.add_argument("--log", help="file by which a killed search goes on (none)")
    parser.add_argument("--file", help="keep the snapshot file here (default: a temporary one)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (0)")
    parser.add_argument("--output", default="tsunami_source.png", help="file of the picture")
    return parser.parse_args()


def main() -> None:
    """Run the experiment, print the results and draw them."""
    given, comm = arguments(), MPI.COMM_WORLD
    began = time.perf_counter()
    twin = set_up(given.refine, given.steps, given.seed, comm)
    model, gauges = twin.model, twin.model.gauges
    say = print if comm.rank == 0 else _silent
    hours = given.steps * model.time_step / 3600
    say(f"{twin.grid.shape} cells, {given.steps} steps ({hours:.1f} h), {comm.size} ranks")
    folder = comm.bcast(tempfile.mkdtemp() if comm.rank == 0 else None)
    options: dict[str, Any] = {"comm": comm, "memory": given.memory, "file": given.file or folder}
    log = None if given.log is None else inverse.EvaluationLog(given.log)
    try:
        with (
            adjoint.Functional(
                model, given.steps, **options, resume=bool(given.file)
            ) as functional,
            inverse.Inversion(functional, [twin.unknown()], log=log, progress=True) as inversion,
        ):
            found = inversion.minimise(max_iterations=given.iterations, maxcor=20)
        trace = os.path.join(folder, "run.json")
        result = adjoint.gradient(model, given.steps, **options, trace=trace)
        series = model.simulate(given.steps)
        comm.barrier()
    finally:
        if comm.rank == 0:
            shutil.rmtree(folder)
    whole = twin.grid.ranks.gather(twin.grid.gather(found.controls["elevation"]))[0]
    print_results(twin, result, found, whole, given, say)
    if comm.rank == 0:
        assert result.timeline is not None
        assert gauges.observed is not None
        cells = {
            name: (row, column) for name, (row, column) in zip(GAUGES, gauges.cells, strict=True)
        }
        picture = Picture(twin.sea, cells)
        picture.draw_sources(twin.truth, whole)
        minutes = np.arange(len(series)) * gauges.every * model.time_step / 60
        picture.draw_series(minutes, gauges.observed, series)
        picture.draw_search([each.misfit for each in found.history], 0.5 * gauges.observed.size)
        picture.draw_timeline(result.timeline)
        picture.save(given.output)
    say(f"{given.output} written; {time.perf_counter() - began:.0f} s in all")


def print_results(
    twin: Twin,
    result: adjoint.Result,
    found: inverse.Found,
    whole: Array,
    given: argparse.Namespace,
    say: Any,
) -> None:
    """Print the results, and what one gradient took. Collective."""
    report, comm, observed = result.report, MPI.COMM_WORLD, twin.model.gauges.observed
    totals = np.array([report.trajectory_bytes, report.bytes_written, report.memory_bytes])
    trajectory, written, used = comm.allreduce(totals)
    peak = comm.allreduce(peak_bytes(), op=MPI.MAX)
    correlation = np.corrcoef(whole.ravel(), twin.truth.ravel())[0, 1]
    noise = 0.0 if observed is None else 0.5 * observed.size
    search = f"{found.history[0].misfit:.4g} -> {found.misfit:.4g} (noise alone: {noise:.4g})"
    say(f"misfit             {search}")
    say(f"source             correlation with the true one {correlation:.3f}")
    say(f"trajectory         {format_bytes(trajectory)}, on all ranks")
    say(f"memory for states  {given.memory} per rank allowed; {format_bytes(used)} used in all")
    say(f"peak memory        {format_bytes(peak)} of the largest process, libraries included")
    say(f"to file            {format_bytes(written)} per gradient")
    say(f"transfer time      {report.hidden_share:.0%} of it hidden")
    say(f"recomputation      factor {report.recomputation_factor:.2f}")
    say(f"schedule           {report.schedule}")


def _silent(*_: object) -> None:
    """Print nothing: only rank 0 prints."""


if __name__ == "__main__":
    main()
