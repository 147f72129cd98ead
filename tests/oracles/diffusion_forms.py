"""Diffusion on the unit square, linear and nonlinear, and its gradient by hand in plain DOLFINx.

    (u - u0) / dt + A(u) - f = 0,    u = 0 on one side,    J = integral of (u - 1/2)^2 at the end

with ``A(u) = -0.1 Δu`` and the controls ``f`` and the initial state, or with ``f = 0``, ``A(u) =
-div(exp(k) (0.01 + |∇u|^2)^(-1/4) ∇u) + u^3`` and the controls ``k`` and the initial state.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import ufl
from dolfinx import fem, la, mesh
from dolfinx.fem import petsc
from mpi4py import MPI
from petsc4py import PETSc
from ufl import grad, inner

from solvers.fenicsx import FormStepper


@dataclass
class Diffusion:
    """A problem of `num_steps` steps up to time 1; `make` makes its Functions."""

    kind: str
    cells: int
    num_steps: int
    degree: int | None = None
    """Of all quadrature; None: DOLFINx's own."""
    order: int = 1
    """Of the elements."""
    make: Any = fem.Function
    comm: Any = field(default_factory=lambda: MPI.COMM_SELF)

    def __post_init__(self):
        self.mesh = mesh.create_unit_square(self.comm, self.cells, self.cells)
        self.space = space = fem.functionspace(self.mesh, ("Lagrange", self.order))
        self.u, self.u0, self.start, self.other = (self.make(space) for _ in range(4))
        self.start.interpolate(lambda x: np.sin(3 * x[0]) * np.cos(2 * x[1]))
        is_linear = self.kind == "linear"
        self.other.interpolate(
            lambda x: 1 + x[0] * x[1] if is_linear else 0.3 * x[0] + 0.2 * x[1] ** 2
        )
        self.controls = {"source" if is_linear else "coefficient": self.other, "start": self.start}
        self.size = 1 / self.num_steps
        self.dx = ufl.dx if self.degree is None else ufl.dx(degree=self.degree)
        self.side = fem.locate_dofs_geometrical(space, lambda x: np.isclose(x[0], 0))
        self.cost = (self.u - 0.5) ** 2 * self.dx

    @property
    def condition(self):
        return fem.dirichletbc(0.0, self.side, self.space)

    def flux(self, u):
        """Return the flux, without the sign; the factor exp(k) is part of it."""
        if self.kind == "linear":
            return 0.1 * grad(u)
        return ufl.exp(self.other) * (0.01 + inner(grad(u), grad(u))) ** (-0.25) * grad(u)

    def residual(self, u):
        v = ufl.TestFunction(self.space)
        rest = -self.other * v if self.kind == "linear" else u**3 * v
        rate = (u - self.u0) / self.size * v
        return (rate + inner(self.flux(u), grad(v)) + rest) * self.dx

    def stepper(self, **options):
        return FormStepper(
            self.residual(self.u),
            self.u,
            self.u0,
            controls=self.controls,
            bcs=[self.condition],
            initial=self.start,
            terminal_cost=self.cost,
            **options,
        )


class ByHand:
    """A loop as DOLFINx's demonstrations have it, and the adjoint loop, written down by hand."""

    def __init__(self, problem):
        self.problem = p = problem
        self.bcs = [p.condition]
        w, v = ufl.TrialFunction(p.space), ufl.TestFunction(p.space)
        self.adjoint = fem.Function(p.space)
        residual = p.residual(p.u)
        self.states = np.zeros((p.num_steps + 1, p.u.x.array.size))
        self.b = la.vector(p.space.dofmap.index_map, p.space.dofmap.index_map_bs)
        if p.kind == "linear":
            a, self.right = map(fem.form, ufl.system(p.residual(w)))
            self.matrix = petsc.create_matrix(a)
            by_other = -v * self.adjoint
        else:
            a = fem.form(ufl.derivative(residual, p.u, w))
            self.newton = petsc.NonlinearProblem(
                residual,
                p.u,
                bcs=self.bcs,
                petsc_options_prefix="by_hand_",
                petsc_options={
                    "ksp_type": "preonly",
                    "pc_type": "lu",
                    "snes_linesearch_type": "basic",
                    "snes_rtol": 1e-12,
                    "snes_atol": 1e-13,
                    "snes_stol": 1e-9,
                },
            )
            self.matrix = petsc.create_matrix(a)
            by_other = v * inner(p.flux(p.u), grad(self.adjoint))
        self.a = a
        self.by_other = fem.form(-by_other * p.dx)
        self.by_level = fem.form(self.adjoint / p.size * v * p.dx)
        self.by_last = fem.form(2 * (p.u - 0.5) * v * p.dx)
        self.cost = fem.form(p.cost)
        self.ksp = PETSc.KSP().create(p.comm)
        self.ksp.setType("preonly")
        self.ksp.getPC().setType("lu")
        self.ksp.setOperators(self.matrix)

    def assemble_matrix(self):
        self.matrix.zeroEntries()
        petsc.assemble_matrix(self.matrix, self.a, bcs=self.bcs)
        self.matrix.assemble()

    def assemble(self, form):
        self.b.array[:] = 0
        fem.assemble_vector(self.b.array, form)
        return self.b.array

    def forward(self):
        """Take all steps, keeping the states; return the cost."""
        p = self.problem
        p.u0.x.array[:] = self.states[0] = p.u.x.array[:] = p.start.x.array
        if p.kind == "linear":
            self.assemble_matrix()
        for k in range(p.num_steps):
            if p.kind == "linear":
                self.assemble(self.right)
                fem.apply_lifting(self.b.array, [self.a], [self.bcs])
                self.bcs[0].set(self.b.array)
                self.ksp.solve(self.b.petsc_vec, p.u.x.petsc_vec)
            else:
                self.newton.solve()
            p.u0.x.array[:] = self.states[k + 1] = p.u.x.array
        return fem.assemble_scalar(self.cost)

    def reverse(self):
        """Return the gradients, from the states of `forward`."""
        p = self.problem
        dofs = self.bcs[0].dof_indices()[0]
        p.u.x.array[:] = self.states[-1]
        w = self.assemble(self.by_last).copy()
        gradient = np.zeros_like(w)
        right = PETSc.Vec().createSeq(w.size)
        for k in reversed(range(p.num_steps)):
            if p.kind != "linear":
                p.u.x.array[:] = self.states[k + 1]
                self.assemble_matrix()
            w[dofs] = 0
            right.setArray(w)
            self.ksp.solveTranspose(right, self.adjoint.x.petsc_vec)
            gradient += self.assemble(self.by_other)
            w[:] = self.assemble(self.by_level)
        return {name: w if name == "start" else gradient for name in p.controls}


def projections(problem, gradient):
    """Return products of a gradient with smooth functions, and its norm: whatever the numbering."""
    x, y, _ = problem.space.tabulate_dof_coordinates().T
    smooth = [np.cos(j * (x + 2 * y)) for j in range(5)]
    return [float(gradient @ each) for each in smooth] + [float(np.linalg.norm(gradient))]
