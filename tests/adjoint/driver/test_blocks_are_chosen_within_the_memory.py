"""Without block=, a block fits memory and schedule, and bits never follow a measurement."""

import numpy as np
import pytest
from seven_cells import NUM_STEPS, Cells, CellsAtOnce, directions

import adjoint
from adjoint.driver import block_choice
from adjoint.schedules import Revolve


@pytest.mark.parametrize("kind", [Cells, CellsAtOnce])
@pytest.mark.parametrize("memory", [256, 500, 1000, 5000])
def test_two_states_are_left(kind, memory):
    with adjoint.Functional(kind(), NUM_STEPS, memory=memory) as functional:
        found = functional.second_order(directions(8))
    assert 1 <= found.block <= 8
    assert found.block == 1 or 2 * (1 + found.block) * 56 <= memory
    assert found.report.memory_bytes <= memory


def test_a_given_schedule_takes_what_fits():
    schedule = Revolve(NUM_STEPS, 3)
    with adjoint.Functional(Cells(), NUM_STEPS, schedule=schedule) as functional:
        assert functional.second_order(directions(8)).block == 8
    with adjoint.Functional(Cells(), NUM_STEPS, schedule=schedule, memory=1000) as functional:
        assert functional.second_order(directions(8)).block == 4


def test_where_bits_depend_on_the_block_nothing_is_measured(monkeypatch):
    given = []

    def spy(*arguments, **options):
        given.append((arguments[3].costs, arguments[4].costs))
        return best_block(*arguments, **options)

    best_block = block_choice.best_block
    monkeypatch.setattr(block_choice, "best_block", spy)
    for _ in range(2):
        with adjoint.Functional(CellsAtOnce(), NUM_STEPS, memory=2000) as functional:
            functional.second_order(directions(8))
    assert given[0] == given[1]
    assert given[0][0].advance == 1 + block_choice.NOMINAL_SHARE


def test_products_are_those_of_single_directions():
    towards = directions(5)
    with adjoint.Functional(Cells(), NUM_STEPS, memory=2000) as functional:
        found = functional.second_order(towards)
        for i in range(5):
            single = functional.hessian_product({name: d[i] for name, d in towards.items()})
            for name, product in single.items():
                assert np.array_equal(product, found.products[name][i])
