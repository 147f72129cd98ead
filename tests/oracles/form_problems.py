"""Small problems in UFL, each a `FormStepper` with controls of every kind that it can have."""

from collections.abc import Callable
from typing import Any

import basix.ufl
import dolfinx.jit
import numpy as np
import ufl
from dolfinx import fem, mesh
from mpi4py import MPI
from ufl import dx, grad, inner

from solvers.fenicsx import FormStepper, PointMisfit

NUM_STEPS = 6
SIZE = 0.02
"""Length of a step."""

# Compiling takes longer than DOLFINx's ten seconds where every core has several processes.
dolfinx.jit.DOLFINX_DEFAULT_JIT_OPTIONS["timeout"] = (120, "seconds that another process may take")


def function(space: Any, of: Callable[[Any], Any] | None = None, name: str = "f") -> Any:
    """Return a Function of a space, interpolated from a formula."""
    made = fem.Function(space, name=name)
    if of is not None:
        made.interpolate(of)
    return made


def on_side(space: Any, side: int, value: float = 0.0, collapsed: Any = None) -> Any:
    """Return the dofs where a coordinate has a value."""
    spaces = space if collapsed is None else (space, collapsed)
    return fem.locate_dofs_geometrical(spaces, lambda x: np.isclose(x[side], value))


def bump(x: Any) -> Any:
    return np.sin(3 * x[0]) * np.cos(2 * x[1])


def tilt(x: Any) -> Any:
    return 0.3 * x[0] + 0.2 * x[1] ** 2


def heat(comm: Any = MPI.COMM_SELF, **options: Any) -> FormStepper:
    """Affine: heat with a coefficient in cells, a source, a reaction, and boundary values."""
    square = mesh.create_unit_square(comm, 6, 6)
    space, cells = fem.functionspace(square, ("Lagrange", 1)), fem.functionspace(square, ("DG", 0))
    u, u0, v = function(space), function(space), ufl.TestFunction(space)
    controls = {
        "log_conductivity": function(cells, tilt),
        "source": function(space, tilt),
        "start": function(space, bump),
        "side": function(space, tilt),
        "reaction": fem.Constant(square, 0.7),
    }
    kappa, source, start, side, reaction = controls.values()
    residual = (u - u0) / SIZE * v * dx + ufl.exp(kappa) * inner(grad(u), grad(v)) * dx
    residual += reaction * u * v * dx - source * v * dx
    return FormStepper(
        residual,
        u,
        u0,
        controls=controls,
        bcs=[fem.dirichletbc(side, on_side(space, 0))],
        initial=start,
        running_cost=SIZE * u**2 * dx + SIZE * reaction**2 * u0 * dx,
        terminal_cost=(u - 0.3) ** 2 * dx + source * u * dx,
        **options,
    )


def p_laplacian(comm: Any = MPI.COMM_SELF, **options: Any) -> FormStepper:
    """Nonlinear: a p-Laplacian with a reaction, and boundary values on two sides."""
    square = mesh.create_unit_square(comm, 6, 6)
    space = fem.functionspace(square, ("Lagrange", 2))
    u, u0, v = function(space), function(space), ufl.TestFunction(space)
    controls = {
        "log_diffusivity": function(fem.functionspace(square, ("Lagrange", 1)), tilt),
        "side": function(space, bump),
        "power": fem.Constant(square, 2.6),
        "floor": fem.Constant(square, 0.1),
        "top": fem.Constant(square, 0.4),
    }
    kappa, side, power, floor, top = controls.values()
    flux = ufl.exp(kappa) * (floor + inner(grad(u), grad(u))) ** (power / 2 - 1) * grad(u)
    residual = (u - u0) / SIZE * v * dx + inner(flux, grad(v)) * dx + u**3 * v * dx
    u0.interpolate(bump)
    conditions = [
        fem.dirichletbc(side, on_side(space, 0)),
        fem.dirichletbc(top, on_side(space, 1, 1.0), space),
    ]
    return FormStepper(
        residual,
        u,
        u0,
        controls=controls,
        bcs=conditions,
        running_cost=SIZE * u**2 * u0 * dx,
        terminal_cost=u**4 * dx,
        **options,
    )


def two_levels(comm: Any = MPI.COMM_SELF, **options: Any) -> FormStepper:
    """Affine, of two levels: BDF2 that begins with a step of backward Euler."""
    square = mesh.create_unit_square(comm, 6, 6)
    space = fem.functionspace(square, ("Lagrange", 1))
    u, u0, u1 = function(space), function(space), function(space)
    v = ufl.TestFunction(space)
    controls = {
        "start": function(space, bump),
        "log_conductivity": function(space, tilt),
        "speed": fem.Constant(square, (0.6, -0.4)),
    }
    start, kappa, speed = controls.values()
    weights = fem.Constant(square, (0.0, 0.0, 0.0))

    def before_step(k: int) -> None:
        weights.value[:] = (1.5, -2.0, 0.5) if k else (1.0, -1.0, 0.0)

    rate = (weights[0] * u + weights[1] * u0 + weights[2] * u1) / SIZE
    residual = (rate + inner(speed, grad(u))) * v * dx
    residual += ufl.exp(kappa) * inner(grad(u), grad(v)) * dx
    return FormStepper(
        residual,
        u,
        (u0, u1),
        controls=controls,
        initial=start,
        before_step=before_step,
        running_cost=SIZE * u * u1 * dx,
        terminal_cost=(u - 2 * u0) ** 2 * dx,
        **options,
    )


def cahn_hilliard(comm: Any = MPI.COMM_SELF, **options: Any) -> FormStepper:
    """Nonlinear, on a mixed space, with a source that is in no other derivative."""
    square = mesh.create_unit_square(comm, 6, 6)
    linear = basix.ufl.element("Lagrange", square.basix_cell(), 1)
    space = fem.functionspace(square, basix.ufl.mixed_element([linear, linear]))
    u, u0 = function(space), function(space)
    (c, mu), (c0, mu0) = ufl.split(u), ufl.split(u0)
    q, w = ufl.TestFunctions(space)
    start = function(space)
    start.sub(0).interpolate(lambda x: 0.6 + 0.1 * np.cos(9 * x[0]) * np.sin(7 * x[1]))
    controls = {
        "start": start,
        "log_mobility": function(fem.functionspace(square, ("Lagrange", 1)), tilt),
        "interface": fem.Constant(square, 0.01),
        "source": function(fem.functionspace(square, ("DG", 0)), tilt),
    }
    start, mobility, interface, source = controls.values()
    c_free = ufl.variable(c)
    energy = 5 * c_free**2 * (1 - c_free) ** 2
    between = 0.5 * (mu + mu0)
    step = 5e-4
    residual = (c - c0) / step * q * dx + ufl.exp(mobility) * inner(grad(between), grad(q)) * dx
    residual += (mu - ufl.diff(energy, c_free)) * w * dx - interface * inner(grad(c), grad(w)) * dx
    residual -= source * q * dx
    return FormStepper(
        residual,
        u,
        u0,
        controls=controls,
        initial=start,
        running_cost=c**2 * mu * dx,
        terminal_cost=(c - 0.5) ** 4 * dx,
        **options,
    )


def navier_stokes(comm: Any = MPI.COMM_SELF, **options: Any) -> FormStepper:
    """Nonlinear, on Taylor-Hood elements: a cavity whose lid moves with a profile."""
    square = mesh.create_unit_square(comm, 4, 4)
    cell = square.basix_cell()
    velocity = basix.ufl.element("Lagrange", cell, 2, shape=(2,))
    pressure = basix.ufl.element("Lagrange", cell, 1)
    space = fem.functionspace(square, basix.ufl.mixed_element([velocity, pressure]))
    velocities, _ = space.sub(0).collapse()
    pressures, _ = space.sub(1).collapse()
    up, up0 = function(space), function(space)
    (u, p), (u0, _) = ufl.split(up), ufl.split(up0)
    v, q = ufl.TestFunctions(space)
    lid = function(velocities, lambda x: np.stack((16 * (x[0] * (1 - x[0])) ** 2, 0 * x[0])))
    controls = {
        "viscosity": fem.Constant(square, 0.05),
        "force": function(fem.functionspace(square, ("Lagrange", 1, (2,))), lambda x: x[:2]),
        "lid": lid,
        "drift": fem.Constant(square, (0.2, -0.1)),
    }
    viscosity, force, lid, drift = controls.values()
    still, none = function(velocities), function(pressures)
    walls = [
        fem.dirichletbc(still, on_side(space.sub(0), side, value, velocities), space.sub(0))
        for side, value in ((0, 0.0), (0, 1.0), (1, 0.0))
    ]
    moving = fem.dirichletbc(lid, on_side(space.sub(0), 1, 1.0, velocities), space.sub(0))
    corner = fem.locate_dofs_geometrical(
        (space.sub(1), pressures), lambda x: np.isclose(x[0], 0) & np.isclose(x[1], 0)
    )
    residual = inner((u - u0) / SIZE + grad(u) * (u + drift), v) * dx
    residual += viscosity * inner(grad(u), grad(v)) * dx - p * ufl.div(v) * dx
    residual += q * ufl.div(u) * dx - inner(force, v) * dx
    return FormStepper(
        residual,
        up,
        up0,
        controls=controls,
        bcs=[moving, *walls, fem.dirichletbc(none, corner, space.sub(1))],
        running_cost=SIZE * inner(grad(u), grad(u)) * dx,
        terminal_cost=inner(u, u) ** 2 * dx,
        **options,
    )


def rows(comm: Any = MPI.COMM_SELF, num_steps: int = NUM_STEPS, **options: Any) -> FormStepper:
    """Affine: scalars, vectors and Functions with a row for each step, data, and points."""
    square = mesh.create_unit_square(comm, 6, 6)
    space, cells = fem.functionspace(square, ("Lagrange", 1)), fem.functionspace(square, ("DG", 0))
    u, u0, v = function(space), function(space, bump), ufl.TestFunction(space)
    strength, wind = fem.Constant(square, 0.0), fem.Constant(square, (0.0, 0.0))
    source, inflow = function(cells), function(space)
    kappa, phase = function(cells, tilt), fem.Constant(square, 0.0)
    size = cells.dofmap.index_map.size_local
    places = cells.tabulate_dof_coordinates()[:size]

    def before_step(k: int) -> None:
        phase.value[...] = np.sin(k)
        inflow.interpolate(lambda x: np.cos(x[1] + 0.1 * k))

    n = np.arange(num_steps)
    given = {
        "strength": np.sin(1.0 + n),
        "wind": np.stack((np.cos(n), 0.1 * n), axis=1),
        "source": np.cos(n[:, None] + places[:, 0]),
    }
    residual = (u - u0) / SIZE * v * dx + ufl.exp(kappa) * inner(grad(u), grad(v)) * dx
    residual += (inner(wind, grad(u)) - phase * strength - source) * v * dx
    points = [[0.3, 0.4], [0.5, 0.5], [0.9, 0.1]]
    data = np.sin(np.arange(3 * 3, dtype=float)).reshape(3, 3)
    return FormStepper(
        residual,
        u,
        u0,
        controls={"strength": strength, "wind": wind, "source": source, "kappa": kappa},
        per_step=given,
        before_step=before_step,
        bcs=[fem.dirichletbc(inflow, on_side(space, 0))],
        running_cost=SIZE * strength**2 * u * dx,
        misfits=[PointMisfit(u, points, data, [1, 4, num_steps], weight=4.0)],
        **options,
    )


def semi_implicit(comm: Any = MPI.COMM_SELF, **options: Any) -> FormStepper:
    """Linear, not affine; the initial state is the projection of a nonlinear function."""
    square = mesh.create_unit_square(comm, 6, 6)
    space = fem.functionspace(square, ("Lagrange", 1))
    u, u0, v = function(space), function(space), ufl.TestFunction(space)
    controls = {
        "log_conductivity": function(space, tilt),
        "log_start": function(space, bump),
        "side": fem.Constant(square, 0.8),
    }
    kappa, start, side = controls.values()
    residual = (u - u0) / SIZE * v * dx
    residual += ufl.exp(kappa) * (1 + u0**2) * inner(grad(u), grad(v)) * dx
    return FormStepper(
        residual,
        u,
        u0,
        controls=controls,
        bcs=[fem.dirichletbc(side, on_side(space, 0), space)],
        initial=(u - ufl.exp(start)) * v * dx,
        running_cost=SIZE * u0**2 * side * dx,
        terminal_cost=(u - 1) ** 4 * dx,
        **options,
    )


PROBLEMS = {
    "heat": heat,
    "p-Laplacian": p_laplacian,
    "two levels": two_levels,
    "Cahn-Hilliard": cahn_hilliard,
    "Navier-Stokes": navier_stokes,
    "rows": rows,
    "semi-implicit": semi_implicit,
}
