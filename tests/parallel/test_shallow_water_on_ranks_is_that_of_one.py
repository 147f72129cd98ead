"""On any number of ranks the state has the bits of one; cost and gradient differ by round-off."""

import numpy as np
import pytest
from basins import CELLS, NUM_STEPS, basin
from stepper_by_hand import cost_by_hand, gradient_by_hand

import adjoint
from adjoint.schedules import Revolve, StoreAll
from solvers import Gauges

RANKS = (1, 2, 3, 4)
OPEN_SIDES = [(), ("west", "north"), ("west", "east", "south", "north")]


@pytest.mark.parametrize("open_sides", OPEN_SIDES, ids=str)
def test_states_have_the_same_bits(comm, open_sides):
    alone, spread = (basin(c, open_sides=open_sides) for c in (None, comm))
    rows, columns = spread.grid.rows, spread.grid.columns
    # ghosts are copies of neighbours' cells: they have to agree as well
    part = np.s_[rows.start : rows.stop + 4, columns.start : columns.stop + 4]
    for stepper in (alone, spread):
        stepper.start()
    for stop in range(1, NUM_STEPS):
        for stepper in (alone, spread):
            stepper.advance(stop - 1, stop)
        for name, field in spread.state.items():
            np.testing.assert_array_equal(field, alone.state[name][part], err_msg=name)
    spread.grid.free()


@pytest.mark.parametrize("open_sides", OPEN_SIDES, ids=str)
def test_cost_and_gradient_agree(comm, open_sides):
    alone, spread = (basin(c, open_sides=open_sides) for c in (None, comm))
    cost, gradient = gradient_by_hand(alone, NUM_STEPS)
    own_cost, own = gradient_by_hand(spread, NUM_STEPS, (5,))
    assert comm.allreduce(own_cost) == pytest.approx(cost, rel=1e-13)
    for name, field in gradient.items():
        part = field[spread.grid.rows, spread.grid.columns]
        np.testing.assert_allclose(own[name], part, rtol=0, atol=1e-12 * np.abs(field).max())
    spread.grid.free()


def test_gradient_on_these_ranks_passes_the_taylor_test(comm):
    stepper = basin(comm)
    own_cost, gradient = gradient_by_hand(stepper, NUM_STEPS)
    cost = comm.allreduce(own_cost)
    rng = np.random.default_rng(comm.rank)
    sizes = {"elevation": 0.4, "bathymetry": 2.0, "friction": 0.04}
    centre = {name: field.copy() for name, field in stepper.controls.items()}
    direction = {n: sizes[n] * rng.uniform(-1, 1, f.shape) for n, f in centre.items()}
    slope = comm.allreduce(sum(float(np.vdot(gradient[n], d)) for n, d in direction.items()))
    remainders = []
    for step in (0.5, 0.25, 0.125, 0.0625):
        for name, field in stepper.controls.items():
            field[...] = centre[name] + step * direction[name]
        moved = comm.allreduce(cost_by_hand(stepper, NUM_STEPS))
        remainders.append(abs(moved - cost - step * slope))
    orders = np.log2(np.divide(remainders[:-1], remainders[1:]))
    assert (orders > 1.95).all(), orders
    stepper.grid.free()


def test_grouping_steps_changes_no_bit(comm):
    stepper = basin(comm)
    whole = gradient_by_hand(stepper, NUM_STEPS)
    pieces = gradient_by_hand(stepper, NUM_STEPS, (1, 4, 9))
    assert pieces[0] == whole[0]
    for name, field in whole[1].items():
        np.testing.assert_array_equal(pieces[1][name], field, err_msg=name)
    stepper.grid.free()


def test_schedules_change_no_bit(comm):
    stepper = basin(comm)
    results = [
        adjoint.gradient(stepper, NUM_STEPS, comm=comm, schedule=schedule)
        for schedule in (StoreAll(NUM_STEPS), Revolve(NUM_STEPS, 2))
    ]
    assert results[0].cost == results[1].cost
    for name, field in results[0].gradient.items():
        np.testing.assert_array_equal(results[1].gradient[name], field, err_msg=name)
    assert comm.allreduce(gradient_by_hand(stepper, NUM_STEPS)[0]) == pytest.approx(results[0].cost)
    stepper.grid.free()


def test_series_is_the_same_on_all_ranks(comm):
    alone, spread = basin(), basin(comm)
    series = spread.simulate(NUM_STEPS)
    np.testing.assert_array_equal(series, alone.simulate(NUM_STEPS))
    twin = basin(comm, gauges=Gauges(CELLS, series, every=2))
    assert cost_by_hand(twin, NUM_STEPS) == 0
    for stepper in (spread, twin):
        stepper.grid.free()
