"""Later evaluations try other leaf sizes, keep one that is faster, and come to an end."""

import dataclasses

import pytest
from pendulums import Pendulums

import adjoint
from adjoint.driver.leaf_search import LeafSearch
from adjoint.driver.learning import next_plan
from adjoint.driver.run import RunPlan
from adjoint.planning.budget import Budget
from adjoint.schedules import Revolve, StoreAll
from adjoint.schedules.costs import Costs

NUM_STEPS = 600
COSTS = Costs(advance=1.0, pull_back=2.0)
SIZES = (1, 2, 3, 4, 6, 8, 12, 16)
BUDGET = Budget({leaf: 65 - leaf for leaf in SIZES}, 0, {leaf: leaf for leaf in SIZES})


def evaluated(seconds, *, start=4, times=9):
    """Return the leaf sizes of the evaluations, given what one with each size takes."""
    plan = RunPlan(
        Revolve(NUM_STEPS, 61, leaf_steps=start), "chosen", COSTS, 1.0, leaves=LeafSearch(BUDGET)
    )
    played = []
    for _ in range(times):
        leaf = plan.schedule.leaf_steps
        played.append(leaf)
        plan = next_plan(plan, None, COSTS, seconds[leaf], rows=0, needs_file=False)
    return played, plan


def test_a_leaf_that_is_best_from_the_start_is_kept():
    played, plan = evaluated(dict.fromkeys(SIZES, 10.0))
    assert played == [4, 4, 8, 2, 4, 4, 4, 4, 4]
    assert plan.reason.endswith("; leaves of 4; of 2, 8 tried")


def test_the_side_that_wins_is_followed():
    played, _ = evaluated({**dict.fromkeys(SIZES, 10.0), 8: 9.0, 16: 8.0})
    assert played[:5] == [4, 4, 8, 16, 16]
    played, _ = evaluated({**dict.fromkeys(SIZES, 10.0), 2: 9.0, 1: 9.5})
    assert played[:7] == [4, 4, 8, 2, 1, 2, 2]


def test_a_difference_within_the_noise_changes_nothing():
    played, _ = evaluated({**dict.fromkeys(SIZES, 10.0), 8: 9.8, 2: 9.75})
    assert played[-1] == 4


def test_a_leaf_that_cannot_pay_is_not_tried():
    slow = dataclasses.replace(COSTS, advance=10.0)
    plan = RunPlan(
        Revolve(NUM_STEPS, 61, leaf_steps=4), "chosen", slow, 1.0, leaves=LeafSearch(BUDGET)
    )
    for _ in range(5):
        plan = next_plan(plan, None, slow, 10.0, rows=0, needs_file=False)
        assert plan.schedule.leaf_steps >= 1


def test_memory_is_that_of_the_first_plan():
    plan = RunPlan(
        Revolve(NUM_STEPS, 20, leaf_steps=4), "chosen", COSTS, 1.0, leaves=LeafSearch(BUDGET)
    )
    for _ in range(6):
        plan = next_plan(plan, None, COSTS, 10.0, rows=0, needs_file=False)
        assert plan.schedule.num_slots + plan.schedule.leaf_steps <= 24


@pytest.mark.parametrize("memory", [60_000, 200_000, 4_000_000])
def test_every_evaluation_has_the_same_bits(memory):
    expected = adjoint.gradient(Pendulums(300, 200), 200, schedule=StoreAll(200))
    with adjoint.Functional(Pendulums(300, 200), 200, memory=memory) as functional:
        for _ in range(7):
            cost, gradient = functional.value_and_gradient()
            assert cost == expected.cost
            for name, array in expected.gradient.items():
                assert gradient[name].tobytes() == array.tobytes()
