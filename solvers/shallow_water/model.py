"""Tsunamis: nonlinear shallow water over real topography, with its exact discrete adjoint.

The unknowns are the elevation ``eta`` of the surface and the fluxes ``qx``, ``qy``: velocity times
total depth ``D = eta + h``, where ``h`` is the depth of still water::

    eta_t + qx_x + qy_y                                                            = 0
    qx_t + (qx qx / D)_x + (qy qx / D)_y + g D eta_x - f qy + c |U| qx / D - nu lap qx = 0
    qy_t + (qx qy / D)_x + (qy qy / D)_y + g D eta_y + f qx + c |U| qy / D - nu lap qy = 0

with Manning's friction ``c = g n^2 / h^(1/3)``, which uses the still depth, and
``|U| = sqrt(u^2 + v^2 + floor^2)``, which is differentiable everywhere.

*In space* the unknowns are staggered (the C grid of Arakawa and Lamb 1977): ``eta``, ``h`` and
``n`` at cell centres, ``qx`` at east faces, ``qy`` at north faces. Averages are over two or four
neighbours, and differences are centred. Velocities are those through faces, ``u = qx / Dx``, and
zero where a face is closed; advective fluxes are products of two averages, at centres and corners.
There is no upwinding and no other switch, so the step is a smooth function. The viscosity provides
the damping that centred advection lacks.

*In time* the scheme is forward-backward (Mesinger and Arakawa 1976): ``eta`` is advanced with the
old fluxes, then the fluxes with the new ``eta``, and friction is implicit::

    eta' = eta - dt (dqx/dx + dqy/dy)
    qx'  = (qx - dt (advection + g Dx' deta'/dx - f Dx' v - nu lap qx)) / (1 + dt c |U| / Dx')

So fluxes are half a step ahead of the elevation. A run starts from rest, with fluxes of half a step
of the pressure gradient. The scheme is of second order in space and time for waves; advection and
the Coriolis force are of first order in time. Waves are stable for
``dt sqrt(g h (1/dx^2 + 1/dy^2)) <= 1``.

*The coast* does not move: a cell is land if its depth at construction is less than
`minimum_depth`, and the faces of land cells are closed. So are the sides of the domain, unless they
are open: there the outward flux is ``sqrt(g D') eta'``, so waves at normal incidence leave. A
closed basin conserves its volume to round-off, and water at rest stays at rest, bit for bit.

*The transpose* of a step starts from the adjoint ``(e, x, y)`` of ``(eta', qx', qy')``. The flux
through an open side passes its adjoint to the elevation and depth it was computed from. The
momentum equations turn ``x`` and ``y`` into adjoints of their terms: ``X = x / (1 + dt c |U| /
Dx')`` is that of the numerator, ``-X qx'`` that of the denominator, and so on by the chain rule to
the velocities, the depth at faces, the old fluxes and ``eta'``. The adjoint of the depth is added
to those of ``eta'`` and of ``h``, since ``D' = eta' + h``. With ``e`` the total adjoint of
``eta'``, continuity then gives ``eta`` the adjoint ``e`` and adds ``dt de/dx`` to that of ``qx``.
During the reverse sweep the accumulator of the friction holds the derivative with respect to
``c``; `finish` converts it to the derivatives with respect to ``n`` and ``h``.

*Ranks* hold padded arrays with two ghost cells on every side. Ghost cells are part of the state, so
a step needs one exchange. After each step of the reverse sweep, the adjoint in ghost cells is added
to the cells' owners. The state has the same bits on any number of ranks; costs and gradients are
sums over ranks and differ by round-off.
"""

from collections.abc import Collection
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from adjoint.errors import ArgumentError
from adjoint.parallel import agree_on, largest
from adjoint.steppers import Arrays, Scratch, aligned_zeros, copy_arrays, state_bytes
from solvers.grids.grid import Grid
from solvers.grids.halo import Halo
from solvers.observations import Gauges
from solvers.shallow_water import kernels, setup
from solvers.shallow_water.adjoint_kernels import AdjointRows, close_step, pull_back_step
from solvers.shallow_water.problem import GHOSTS, Fields, Medium, Problem, Rows, Samples, Totals
from solvers.shallow_water.start import (
    drag_coefficient,
    drag_transposed,
    kick,
    kick_transposed,
)

__all__ = ["ShallowWater"]

Array = NDArray[Any]

OWN = (slice(GHOSTS, -GHOSTS), slice(GHOSTS, -GHOSTS))
"""This rank's own cells in a padded array."""

DEFAULT_COURANT_NUMBER = 0.7
"""Default time step over the longest one that is stable for the still depth: the margin is for
the elevation, which adds to the depth, and for advection."""


class ShallowWater:
    """A stepper for tsunamis. Construction and all steps are collective on the grid's ranks.

    The controls are fields over this rank's own cells, in the dtype of the state: ``elevation``
    (initial elevation in metres), ``bathymetry`` (still depth in metres, negative on land) and
    ``friction`` (Manning's coefficient, in s m^(-1/3)). Values on land have no effect.

    Parameters
    ----------
    grid
        The grid, distributed over ranks.
    bathymetry, friction, elevation
        Initial values of the controls, of shape `Grid.local_shape` or scalars; copied.
    gauges
        Observations. The cost is ``dt every / (2 sigma^2)`` times the sum over samples and gauges
        of the squared misfit of the elevation; without observed values it is zero.
    time_step
        In seconds; by default 0.7 times the longest stable one.
    gravity, coriolis, viscosity
        In m s^-2, s^-1 and m^2 s^-1. The viscosity should be above ``U^2 dt / 2``.
    minimum_depth
        Cells shallower than this are land; in metres, well above the amplitude of the waves.
    open_sides
        Sides that waves leave through: any of ``west``, ``east``, ``south``, ``north``.
    dtype
        float64 or float32.

    Raises
    ------
    ArgumentError
        An argument is out of range, such as a gauge on land or an unstable time step. All ranks
        raise it if one does.
    """

    reproducible = True
    needs_last_state = False
    distributed = ("elevation", "bathymetry", "friction")

    def __init__(
        self,
        grid: Grid,
        *,
        bathymetry: ArrayLike,
        friction: ArrayLike = 0.025,
        elevation: ArrayLike = 0.0,
        gauges: Gauges | None = None,
        time_step: float | None = None,
        gravity: float = 9.81,
        coriolis: float = 0.0,
        viscosity: float = 1.0,
        minimum_depth: float = 5.0,
        open_sides: Collection[str] = (),
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.grid = grid
        self.gauges = Gauges(()) if gauges is None else gauges
        self._physics = {
            "gravity": gravity,
            "coriolis": coriolis,
            "viscosity": viscosity,
            "minimum_depth": minimum_depth,
        }
        self._open_sides = tuple(sorted(open_sides))
        self._halo = Halo(grid, GHOSTS)
        agree_on(
            lambda: setup.check_physics(self._physics, open_sides), grid.ranks, catch=ArgumentError
        )
        fields = {"elevation": elevation, "bathymetry": bathymetry, "friction": friction}
        self._dtype = np.dtype(dtype)
        self.controls = agree_on(
            lambda: setup.make_fields(fields, grid, self._dtype), grid.ranks, catch=ArgumentError
        )
        """The fields that the gradient is taken with respect to."""
        self.wet: NDArray[np.bool_] = self.controls["bathymetry"] >= minimum_depth
        """Mask of this rank's wet cells."""
        longest = self._longest_step()
        self.time_step = DEFAULT_COURANT_NUMBER * longest if time_step is None else float(time_step)
        self._check(longest)
        self._constants = setup.make_constants(self.time_step, grid, self._physics, self._dtype)
        samples = agree_on(
            lambda: setup.make_samples(self.gauges, grid, self.wet, self.time_step),
            grid.ranks,
            catch=ArgumentError,
        )
        self.accumulators = {
            name: aligned_zeros(c.shape, c.dtype) for name, c in self.controls.items()
        }
        """The accumulated gradients; that of the friction is one of the drag until `finish`."""
        self._allocate(samples)

    def _allocate(self, samples: Samples) -> None:
        rows, columns = self.grid.local_shape
        shape = self._padded_shape = (rows + 2 * GHOSTS, columns + 2 * GHOSTS)
        make_state = partial(Fields.zeros, shape, self._dtype)
        self.state: Arrays = make_state()
        """The live state: ``eta`` in metres, ``qx`` and ``qy`` in m^2/s, padded arrays."""
        self.adjoint = make_state()
        """The live adjoint; its ghost cells are zero."""
        self._adjoint_rows = AdjointRows.allocate(shape[1], self._dtype)
        self._medium = Medium(*(aligned_zeros(shape, self._dtype) for _ in Medium._fields))
        for array in self._medium:
            array[...] = 1
        self._medium.wet[...] = 0
        self._medium.wet[OWN] = self.wet
        self._halo.exchange([self._medium.wet])
        open_sides = setup.open_here(self._open_sides, self.grid)
        rings = Rows.allocate(shape[1], self._dtype)
        self._problem = Problem(self._medium, open_sides, self._constants, samples, rings)
        self._totals = self._make_totals()
        self.tape_memory = Scratch(make_state)
        """Where the states of tapes are."""
        self._tapes: dict[tuple[int, int], list[Arrays]] = {}

    # -- the protocol -------------------------------------------------------------------------

    def tape_bytes(self, steps: int) -> int:
        """Return the memory of the tape of `steps` steps: one state per step."""
        return steps * state_bytes(self.state)

    def fingerprint(self) -> dict[str, Any]:
        """Return grid, coefficients and observations."""
        grid, gauges = self.grid, self.gauges
        return {
            "grid": (grid.shape, grid.spacing, self.time_step, self._open_sides),
            "coefficients": self._physics,
            "gauges": (tuple(gauges.cells), gauges.every, gauges.sigma),
            "observed": None if gauges.observed is None else np.asarray(gauges.observed),
        }

    def start(self) -> None:
        """Set the state from the controls, at rest, and the accumulators to zero. Collective.

        Raises
        ------
        ArgumentError
            The controls are out of range, or too deep for the time step; on all ranks.
        """
        self._check_controls()
        self._set_medium()
        copy_arrays(self._initial_state(), self.state)
        for total in self.accumulators.values():
            total[...] = 0
        self._tapes.clear()
        self.tape_memory.begin()

    def adopt(self, arrays: Arrays) -> None:
        """Make the given arrays the live state."""
        self.state = arrays

    def advance(
        self, start: int, stop: int, *, cost: float | None = None, out: Arrays | None = None
    ) -> float | None:
        """Advance the state from `start` to `stop`, in place or into `out`. Collective."""
        source, self.state = self.state, self.state if out is None else out
        if start == stop and out is not None:
            copy_arrays(source, out)
        return self._move(source, self.state, start, stop, cost)

    def record(
        self, start: int, stop: int, *, cost: float | None = None, reach_stop: bool
    ) -> float | None:
        """Advance the state from `start` to `stop`, keeping the state before each step."""
        tape = self.tape_memory.take(stop - start - (not reach_stop))
        if reach_stop:
            copy_arrays(self.state, tape[0])
        else:
            tape.insert(0, self.state)
        for k in range(start, stop - 1):
            cost = self._move(tape[k - start], tape[k + 1 - start], k, k + 1, cost)
        if reach_stop:
            cost = self._move(tape[-1], self.state, stop - 1, stop, cost)
        elif cost is not None:
            self.gauges.require_samples(stop)
            cost += float(kernels.misfit(tape[-1]["eta"], self._problem.samples, stop - 1))
        self._tapes[start, stop] = tape
        return cost

    def turn(self, cost: float) -> float:
        """Set the adjoint to zero: there is no terminal cost."""
        for array in self.adjoint.values():
            array[...] = 0
        return cost

    def pull_back(self, start: int, stop: int) -> None:
        """Pull the adjoint back from `stop` to `start`. Collective."""
        tape = self._tapes.pop((start, stop))
        for k in range(stop - 1, start - 1, -1):
            self._transpose(tape[k - start], k)
        self.tape_memory.give_back(tape)

    def finish(self) -> None:
        """Add the adjoints of the initial state and of the drag to the gradients. Collective."""
        controls, totals = self.controls, self.accumulators
        initial, depth, wet = self._initial_elevation(), self._medium.depth[OWN], self.wet
        eta, deep = kick_transposed(
            initial, self.adjoint["qx"], self.adjoint["qy"], self._medium, self._constants
        )
        self._halo.exchange_transposed([eta, deep])
        totals["elevation"] += np.where(wet, self.adjoint["eta"][OWN] + eta[OWN], 0)
        friction, rough = drag_transposed(
            totals["friction"], controls["friction"], depth, self._constants.gravity
        )
        totals["bathymetry"] += np.where(wet, deep[OWN] + rough, 0)
        totals["friction"][...] = np.where(wet, friction, 0)

    def twin(
        self, controls: Arrays, accumulators: Arrays, like: Any, *, gauss_newton: bool
    ) -> "ShallowWater":
        """Return the same stepper in complex arithmetic, for second derivatives."""
        from solvers.shallow_water.twin import Twin  # noqa: PLC0415 (it is a ShallowWater itself)

        del gauss_newton  # within a step, what the cost gives to the adjoint comes last
        return Twin(self, controls, accumulators, like)

    # -- beside the protocol ------------------------------------------------------------------

    def simulate(self, num_steps: int) -> NDArray[np.float64]:
        """Run from the controls and return the water levels at the gauges. Collective.

        The result, the same on all ranks, has one row per sample before step `num_steps` and one
        column per gauge: the form of `Gauges.observed`. The live state is then that at `num_steps`.
        """
        every, samples = self.gauges.every, self._problem.samples
        mine = np.empty((self.gauges.num_samples(num_steps), samples.rows.size))
        self.start()
        for index, k in enumerate(range(0, num_steps, every)):
            mine[index] = self.state["eta"][samples.rows, samples.columns]
            self.advance(k, min(k + every, num_steps))
        series = np.empty((mine.shape[0], len(self.gauges.cells)))
        local, _ = self.gauges.local(self.grid.own)
        for gauges, levels in self.grid.ranks.gather((local, mine)):
            series[:, gauges] = levels
        return series

    # -- steps --------------------------------------------------------------------------------

    def _move(
        self, source: Arrays, target: Arrays, start: int, stop: int, cost: float | None
    ) -> float | None:
        """Step from `source` to `target`, which may be the same memory."""
        if cost is not None:
            self.gauges.require_samples(stop)
        stride = stop - start if self.grid.ranks.size == 1 else 1
        total = 0.0 if cost is None else cost
        before, after = Fields.of(source), Fields.of(target)
        for k in range(start, stop, max(stride, 1)):
            total = kernels.advance(before, after, self._problem, (k, k + stride), total)
            self._halo.exchange(after)
            before = after
        return None if cost is None else total

    def _transpose(self, state: Arrays, k: int) -> None:
        """Pull the adjoint back over step `k`, whose first state is `state`."""
        before, adjoint = Fields.of(state), Fields.of(self.adjoint)
        pull_back_step(before, adjoint, self._problem, self._adjoint_rows, self._totals)
        if self.grid.ranks.size > 1:
            padded = self._totals.depth, self._totals.drag
            self._halo.exchange_transposed([*adjoint, *padded])
            for name, part in zip(("bathymetry", "friction"), padded, strict=True):
                self.accumulators[name][...] += part[OWN]
                part[...] = 0
        close_step(k, before, adjoint, self._problem)

    def _make_totals(self) -> Totals:
        """Return the arrays that the kernels add derivatives to.

        On one rank these are the accumulators; on several, padded arrays whose ghost cells have yet
        to be added to their owners.
        """
        if self.grid.ranks.size == 1:
            return Totals(GHOSTS, self.accumulators["bathymetry"], self.accumulators["friction"])
        return Totals(
            0, np.zeros(self._padded_shape, self._dtype), np.zeros(self._padded_shape, self._dtype)
        )

    # -- start --------------------------------------------------------------------------------

    def _longest_step(self) -> float:
        depths = self.controls["bathymetry"][self.wet]
        deepest = float(depths.max()) if depths.size else 0.0
        deepest = largest(deepest, self.grid.ranks)
        return setup.longest_step(deepest, self.grid, self._physics["gravity"])

    def _check_controls(self) -> None:
        self._check(self._longest_step())

    def _check(self, longest: float) -> None:
        """Raise on all ranks if controls are out of range, or too deep for the time step."""
        setup.check_time_step(self.time_step, longest, self.grid, self._physics["viscosity"])
        agree_on(
            lambda: setup.check_values(self.controls, self.wet),
            self.grid.ranks,
            catch=ArgumentError,
        )

    def _set_medium(self) -> None:
        bathymetry, friction = self.controls["bathymetry"], self.controls["friction"]
        depth, drag, _ = self._medium
        depth[OWN] = np.where(self.wet, bathymetry, 1)
        drag[OWN] = drag_coefficient(friction, depth[OWN], self._constants.gravity)
        self._halo.exchange([depth, drag])

    def _initial_elevation(self) -> Array:
        eta = np.zeros(self._padded_shape, self._dtype)
        eta[OWN] = np.where(self.wet, self.controls["elevation"], 0)
        self._halo.exchange([eta])
        return eta

    def _initial_state(self) -> Arrays:
        eta = self._initial_elevation()
        qx, qy = kick(eta, self._medium, self._constants)
        self._halo.exchange([qx, qy])
        return {"eta": eta, "qx": qx, "qy": qy}
