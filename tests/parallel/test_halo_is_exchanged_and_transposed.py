"""An exchange copies owners to ghosts; its transpose is the transposed linear map."""

import numpy as np
import pytest

from adjoint.errors import ArgumentError
from solvers import Grid, Halo

RANKS = (1, 2, 3, 4, 6)
SHAPES = [(12, 15), (24, 4), (4, 24)]


def padded(grid, width):
    return tuple(cells + 2 * width for cells in grid.local_shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("width", [1, 2])
def test_ghosts_are_copied_and_other_cells_are_unchanged(comm, shape, width):
    whole = np.full((shape[0] + 2 * width, shape[1] + 2 * width), -1.0)
    own = (slice(width, -width), slice(width, -width))
    whole[own] = np.random.default_rng(1).random(shape)
    with Grid(shape, (1.0, 1.0), comm) as grid:
        rows, columns = grid.rows, grid.columns
        expected = whole[
            rows.start : rows.stop + 2 * width, columns.start : columns.stop + 2 * width
        ]
        first, second = np.full(padded(grid, width), -1.0), np.full(padded(grid, width), -1.0)
        first[own], second[own] = expected[own], 3 * expected[own]
        Halo(grid, width).exchange([first, second])
        np.testing.assert_array_equal(first, expected)
        np.testing.assert_array_equal(second, np.where(expected == -1, -1, 3 * expected))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("width", [1, 2])
def test_dot_products_agree(comm, shape, width):
    rng = np.random.default_rng(comm.rank)
    with Grid(shape, (1.0, 1.0), comm) as grid:
        halo = Halo(grid, width)
        x, y = (rng.standard_normal((2, *padded(grid, width))) for _ in range(2))
        there, back = x.copy(), y.copy()
        halo.exchange(list(there))
        halo.exchange_transposed(list(back))
        forward, backward = comm.allreduce(np.array([np.vdot(there, y), np.vdot(x, back)]))
        assert forward == pytest.approx(backward, rel=1e-12)
        assert comm.size == 1 or (there != x).any()


def test_a_rank_thinner_than_the_stencil_is_refused(comm):
    if comm.size > 1:
        with (
            Grid((1, comm.size), (1.0, 1.0), comm) as grid,
            pytest.raises(ArgumentError, match="use fewer ranks"),
        ):
            Halo(grid, 2)
