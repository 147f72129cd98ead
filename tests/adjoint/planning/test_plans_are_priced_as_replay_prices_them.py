"""The planner's closed forms agree with `replay`, which plays the schedule."""

import dataclasses

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from adjoint.planning.budget import Budget
from adjoint.planning.planner import choose
from adjoint.simulation.replay import Costs, price

STEP = 1.0


def costs(write=3.0, read=3.0, pull_back=2.0, slowdown=1.0):
    return Costs(
        advance=STEP,
        pull_back=pull_back,
        write=write,
        read=read,
        slowdown=slowdown,
        read_slowdown=slowdown,
    )


def budget(states, *, file_states=0, leaves=(1, 2, 4, 8, 16)):
    return Budget({leaf: states - leaf for leaf in leaves if states - leaf >= 2}, file_states)


@settings(max_examples=60, deadline=None)
@given(st.integers(5, 3000), st.integers(3, 40), st.floats(0.5, 10))
def test_in_memory(num_steps, states, pull_back):
    paid = costs(pull_back=pull_back)
    plan = choose(num_steps, paid, budget(states))
    played = price(plan.schedule, paid)
    assert plan.predicted_seconds == pytest.approx(played.makespan, rel=0.03, abs=8 * pull_back)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.2, 40), st.integers(4, 40), st.floats(1, 2))
def test_with_a_file(write, states, slowdown):
    paid = costs(write=write, read=write, slowdown=slowdown)
    plan = choose(3000, paid, budget(states, file_states=3000))
    assume(plan.schedule.file_states)
    played = price(plan.schedule, paid)
    assert plan.predicted_seconds == pytest.approx(played.makespan, rel=0.08)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.2, 400), st.integers(3, 40), st.floats(1, 3), st.integers(20, 3000))
def test_a_plan_is_no_slower_than_revolve_in_the_same_memory(write, states, slowdown, num_steps):
    paid = costs(write=write, read=write, slowdown=slowdown)
    with_file = choose(num_steps, paid, budget(states, file_states=num_steps))
    without = choose(num_steps, paid, budget(states))
    assert price(with_file.schedule, paid).makespan <= 1.02 * price(without.schedule, paid).makespan


def test_the_prediction_has_what_each_leaf_takes_besides_in_it():
    paid = dataclasses.replace(costs(), driver_overhead=0.375, restart_overhead=0.125)
    plan = choose(1000, paid, budget(40, leaves=(1,)))
    without = choose(1000, costs(), budget(40, leaves=(1,)))
    assert plan.predicted_seconds == pytest.approx(without.predicted_seconds + 375 + 999 / 8)
    assert plan.predicted_seconds == pytest.approx(price(plan.schedule, paid).makespan)
