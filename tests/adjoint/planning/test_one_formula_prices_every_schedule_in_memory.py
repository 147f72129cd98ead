"""A plan in memory takes what its formula says, by `replay`, and no other leaf takes less.

Whatever fits: states, some tapes, all tapes, or one leaf of all steps.
"""

from dataclasses import replace
from itertools import product
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjoint.planning.budget import Budget, Room, leaf_sizes
from adjoint.planning.draft import Draft, leaf_by_sizes
from adjoint.planning.planner import choose
from adjoint.schedules import Mixed, Revolve, StoreAll
from adjoint.schedules.costs import Costs
from adjoint.simulation.replay import price

MAX_LOSS = 0.011
"""Of plans that differ by less than a hundredth the one in the least memory is chosen."""


def budget_of(num_steps, memory, tape_states, leaf_steps=None):
    """Return what fits in memory for some states, where a step's tape is so large, in states."""
    room = Room.of(
        leaf_sizes(num_steps, leaf_steps),
        int(memory * 1000),
        1000,
        lambda steps, _kept: int(steps * tape_states * 1000),
    )
    return Budget.of(num_steps, int(memory * 1000), [room])


def costs_of(retaken, record=0.25):
    return Costs(advance=1.0, record=record, unreached=float(retaken), pull_back=2.0, turn=3.0)


cases = {
    "num_steps": st.integers(1, 400),
    "memory": st.floats(4, 500),
    "tape_states": st.sampled_from([0.25, 0.5, 1.0, 2.5]),
    "retaken": st.booleans(),
}


@settings(max_examples=200)
@given(**cases, touch_speed=st.sampled_from([inf, 1e5, 1e3]), evaluations=st.integers(1, 10))
def test_replay_takes_as_long(num_steps, memory, tape_states, retaken, touch_speed, evaluations):
    touching = {"touch_speed": touch_speed, "evaluations": evaluations}
    budget = replace(budget_of(num_steps, memory, tape_states), **touching)
    costs = costs_of(retaken)
    plan = choose(num_steps, costs, budget)
    leaf = plan.schedule.leaf_steps
    played = price(
        plan.schedule, costs, num_slots=budget.slots[leaf], tape_slots=budget.tape_slots[leaf]
    )
    assert plan.predicted_seconds == pytest.approx(played.makespan, rel=1e-9)
    assert played.peak_tapes == plan.schedule.num_tapes


@settings(max_examples=60)
@given(**cases)
def test_no_schedule_by_hand_is_faster(num_steps, memory, tape_states, retaken):
    budget, costs = budget_of(num_steps, memory, tape_states), costs_of(retaken)
    plan = choose(num_steps, costs, budget)
    by_hand = [
        price(schedule, costs, tape_slots=tape).makespan
        for leaf, slots in budget.slots.items()
        for tape in [budget.tape_slots[leaf]]
        for schedule in rivals(num_steps, leaf, slots, tape)
    ]
    assert plan.predicted_seconds <= (1 + MAX_LOSS) * min(by_hand)


def rivals(num_steps, leaf, slots, tape):
    leaves = -(-num_steps // leaf)
    if slots >= leaves - 1:
        yield StoreAll(num_steps, leaf_steps=leaf)
    if slots:
        yield Revolve(num_steps, slots, leaf_steps=leaf)
        yield Mixed(num_steps, slots, tape, leaf_steps=leaf)


@pytest.mark.parametrize("retaken", [False, True])
def test_with_memory_for_everything_no_step_is_taken_twice(retaken):
    for num_steps in (1, 2, 100, 1000):
        plan = choose(num_steps, costs_of(retaken), budget_of(num_steps, num_steps + 1, 1.0))
        played = price(plan.schedule, costs_of(retaken), tape_slots=plan.schedule.tape_slots)
        assert played.advances + played.leaf_advances <= num_steps


def test_the_class_is_the_plainest_that_plays_the_actions():
    one_leaf = choose(100, costs_of(True), budget_of(100, 100, 1.0, leaf_steps=100)).schedule
    assert isinstance(one_leaf, StoreAll)
    no_tape_fits = choose(100, costs_of(True), budget_of(100, 13, 1.0, leaf_steps=10)).schedule
    assert isinstance(no_tape_fits, Revolve)
    all_starts = choose(100, costs_of(True), budget_of(100, 29, 2.0, leaf_steps=10)).schedule
    assert isinstance(all_starts, StoreAll)
    some_tapes = choose(100, costs_of(True), budget_of(100, 31, 1.0, leaf_steps=10)).schedule
    assert isinstance(some_tapes, Mixed)
    every_state = choose(100, costs_of(False), budget_of(100, 100, 1.0, leaf_steps=1)).schedule
    assert isinstance(every_state, StoreAll)


def test_a_leaf_whose_tape_is_kept_sets_out_from_nowhere():
    costs = Costs(advance=1.0, unreached=1.0, pull_back=2.0, restart_overhead=5.0)
    plan = choose(96, costs, budget_of(96, 200, 1.0, leaf_steps=8))
    assert plan.schedule.num_tapes == 12
    assert plan.predicted_seconds == 96 * 3
    assert price(plan.schedule, costs, tape_slots=8).makespan == 96 * 3


def test_of_plans_that_are_as_fast_the_one_in_the_least_memory_is_taken():
    budget = budget_of(10_000, 20_000, 1.0)
    small = Costs(advance=1.0, pull_back=2.0, driver_overhead=1e-6)
    plan = choose(10_000, small, budget)
    others = [
        leaf
        for leaf, slots in budget.slots.items()
        if slots >= (-(-10_000 // leaf) - 1) * budget.tape_slots[leaf]
    ]
    assert plan.schedule.leaf_steps in others


def test_steps_are_retaken_only_in_leaves_of_the_size_that_is_given():
    for leaf, memory in product((2, 3, 8), (12, 20, 60)):
        budget = budget_of(2000, memory, 1.0)
        budget = Budget(budget.slots, 0, {}, retaking_leaf=leaf)
        plan = choose(2000, costs_of(False), budget)
        assert plan.schedule.leaf_steps == leaf


def test_the_larger_a_state_the_fewer_leaves_set_out_from_one():
    leaves = []
    for slot_bytes in (8, 10**5, 5 * 10**6):
        budget = replace(budget_of(1000, 40, 1.0), slot_bytes=slot_bytes)
        steps = Costs(advance=1e-4, pull_back=2e-4)
        draft = Draft.of(1000, steps, budget, touch_speed=lambda: inf)
        leaves.append(draft.plan.schedule.leaf_steps)
    assert leaves == sorted(leaves)
    assert leaves[0] < leaves[-1]


@pytest.mark.parametrize("retakes", [False, True])
def test_a_leaf_by_sizes_is_the_usual_one_unless_another_saves_much(retakes):
    def leaf(memory, tape_states, usual):
        budget = budget_of(1000, memory, tape_states)
        return leaf_by_sizes(1000, budget, usual, retakes=retakes)

    assert leaf(20_000, 10.0, 64) == 64
    assert leaf(20_000, 10.0, 8) > 64, "the leaf's own time counts"
    assert leaf(100, 10.0, 64) < 10, "the tape of the usual leaf does not fit"
    assert leaf(100, 10.0, 64) == leaf(100, 10.0, 32)


def test_memory_is_not_touched_for_less_than_that_takes():
    budget, costs = budget_of(1000, 1001, 1.0), Costs(advance=1e-6, pull_back=2e-6)
    dear = {"slot_bytes": 1000, "touch_speed": 1e8}
    once = Budget(budget.slots, 0, budget.tape_slots, **dear)
    often = Budget(budget.slots, 0, budget.tape_slots, evaluations=1000, **dear)
    few = choose(1000, costs, once).schedule
    many = choose(1000, costs, often).schedule
    assert few.num_slots + few.leaf_steps < 500
    assert many.num_slots + many.leaf_steps >= 999
