"""Every cell has one owner, and gathering a scattered field returns the field."""

import numpy as np
import pytest

from adjoint.errors import ArgumentError
from solvers import Grid

RANKS = (1, 2, 3, 4, 6)
SHAPES = [(7, 9), (13, 2), (2, 13), (40, 40), (6, 6)]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_cell_has_one_owner(comm, shape):
    with Grid(shape, (1.0, 2.0), comm) as grid:
        mine = np.zeros(shape, int)
        mine[grid.own] = 1
        owners = comm.allreduce(mine)
        assert (owners == 1).all()
        assert np.sum(mine) == np.prod(grid.local_shape)
        smallest = np.min(comm.allgather(grid.local_shape), axis=0)
        assert tuple(smallest) == grid.smallest
        assert min(grid.smallest) >= 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_there_and_back(comm, shape, dtype):
    field = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    with Grid(shape, (1.0, 2.0), comm) as grid:
        part = grid.scatter(field.T.copy().T if comm.rank == 0 else None)
        assert part.flags.c_contiguous
        assert not np.shares_memory(part, field)
        np.testing.assert_array_equal(part, field[grid.rows, grid.columns])
        whole = grid.gather(part)
        if comm.rank == 0:
            assert whole.dtype == dtype
            np.testing.assert_array_equal(whole, field)
        else:
            assert whole is None


def test_neighbours_share_a_border(comm):
    with Grid((12, 12), (1.0, 1.0), comm) as grid:
        places = comm.allgather((grid.rows, grid.columns))
        for rank, (rows, columns) in enumerate(places):
            touching = {
                grid.west: (rows == grid.rows and columns.stop == grid.columns.start),
                grid.east: (rows == grid.rows and columns.start == grid.columns.stop),
                grid.south: (columns == grid.columns and rows.stop == grid.rows.start),
                grid.north: (columns == grid.columns and rows.start == grid.rows.stop),
            }
            sides = [side for side, touches in touching.items() if touches]
            assert sides == ([rank] if rank in touching else [])


def test_misuse_is_refused_on_all_ranks(comm):
    with Grid((12, 12), (1.0, 1.0), comm) as grid:
        with pytest.raises(ArgumentError, match="scatter"):
            grid.scatter(np.zeros((3, 3)) if comm.rank == 0 else None)
        wrong = grid.local_shape if comm.rank else (99, 99)
        with pytest.raises(ArgumentError, match="rank 0"):
            grid.gather(np.zeros(wrong))
    if comm.size > 1:
        with pytest.raises(ArgumentError, match="ranks cannot share"):
            Grid((1, 1), (1.0, 1.0), comm)
