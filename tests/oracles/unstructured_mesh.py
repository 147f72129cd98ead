"""Diffusion and reaction on the triangles of a DMPlex, whose numbering is PETSc's own."""

from mpi4py import MPI  # isort: skip  (before petsc4py: it finds the MPI that that one needs)

import numpy as np
from petsc4py import PETSc

from solvers.petsc import RhsProblem

WIDTH, HEIGHT = 4, 3
"""Rectangles, of two triangles each, on the unit square."""


def triangulation():
    """Return the corners of all triangles, and the coordinates of the corners."""
    x, y = np.meshgrid(np.linspace(0, 1, WIDTH + 1), np.linspace(0, 1, HEIGHT + 1))
    corner = np.arange(x.size).reshape(x.shape)
    low = [corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:]]
    high = [corner[:-1, :-1], corner[1:, 1:], corner[1:, :-1]]
    cells = np.concatenate([np.stack(part, -1).reshape(-1, 3) for part in (low, high)])
    return cells.astype(PETSc.IntType), np.stack([x, y], -1).reshape(-1, 2)


class Triangles(RhsProblem):
    """``u' = k (sum of the neighbours - u) - u^3`` in every triangle; ``u_0 = a sin(3 x + y)``.

    The cost is the final distance of the state from ``x y``, weighted by 1 to 2.
    """

    def __init__(self, comm=None):
        comm = MPI.COMM_SELF if comm is None else comm
        cells, corners = triangulation()
        if comm.rank:
            cells, corners = cells[:0], corners[:0]
        self.dm = PETSc.DMPlex().createFromCellList(2, cells, corners, comm=comm)
        self.dm.setBasicAdjacency(True, False)
        self.dm.distribute(overlap=1)
        self.dm.setNumFields(1)
        self.dm.setBasicAdjacency(True, False)
        start, stop = self.dm.getHeightStratum(0)
        section = PETSc.Section().create(self.dm.comm)
        section.setNumFields(1)
        section.setChart(*self.dm.getChart())
        for cell in range(start, stop):
            section.setDof(cell, 1)
            section.setFieldDof(cell, 0, 1)
        section.setUp()
        self.dm.setSection(section)
        template = self.dm.createGlobalVec()
        super().__init__(
            template,
            {"k": np.array(0.7), "a": np.array(0.9)},
            matrix=self.dm.createMatrix(),
            dm=self.dm,
        )
        self.rows = self.dm.getGlobalSection()
        first, last = template.getOwnershipRange()
        rows = {cell: self.rows.getOffset(cell) for cell in range(start, stop)}
        self.own = {cell: row - first for cell, row in rows.items() if first <= row < last}
        # The section of a ghost says minus its row, minus one.
        self.row_of = {cell: row if row >= 0 else -row - 1 for cell, row in rows.items()}
        self.neighbours = {cell: self._across(cell) for cell in self.own}
        self.local = self.dm.createLocalVec()
        centres = {cell: self.dm.computeCellGeometryFVM(cell)[1] for cell in self.own}
        self.x, self.y = np.zeros((2, len(self.own)))
        for cell, place in self.own.items():
            self.x[place], self.y[place] = centres[cell][:2]

    def _across(self, cell):
        faces = self.dm.getCone(cell)
        return [other for face in faces for other in self.dm.getSupport(face) if other != cell]

    def _spread(self, u, scale):
        """Return `scale` times the sum over neighbours of what they have more."""
        self.dm.globalToLocal(u, self.local)
        section, values = self.dm.getSection(), self.local.getArray(readonly=True)
        spread = np.zeros(len(self.own))
        for cell, place in self.own.items():
            here = values[section.getOffset(cell)]
            others = sum(values[section.getOffset(other)] for other in self.neighbours[cell])
            spread[place] = scale * (others - len(self.neighbours[cell]) * here)
        return spread

    def initial_state(self, m, u):
        u.array[...] = m["a"] * np.sin(3 * self.x + self.y)

    def initial_state_vjp(self, m, adjoint, gradient):
        gradient["a"][...] += np.sin(3 * self.x + self.y) @ adjoint.array_r

    def rhs(self, t, u, m, f):
        f.array[...] = self._spread(u, float(m["k"])) - u.array_r**3

    def rhs_jacobian(self, t, u, m, jacobian, other):
        jacobian.zeroEntries()
        k, values = float(m["k"]), u.array_r
        for cell, place in self.own.items():
            row = self.row_of[cell]
            others = self.neighbours[cell]
            jacobian.setValue(row, row, -k * len(others) - 3 * values[place] ** 2)
            for beside in others:
                jacobian.setValue(row, self.row_of[beside], k)
        jacobian.assemble()

    def rhs_control_vjp(self, t, u, m, w, gradient):
        gradient["k"][...] += self._spread(u, 1.0) @ w.array_r

    def terminal_cost(self, u, m):
        return float(0.5 * (1 + self.x) @ (u.array_r - self.x * self.y) ** 2)

    def terminal_cost_vjp(self, u, m, adjoint, gradient):
        adjoint.array[...] += (1 + self.x) * (u.array_r - self.x * self.y)
