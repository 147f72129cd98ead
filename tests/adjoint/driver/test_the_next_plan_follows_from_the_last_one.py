"""Learning is a function: from a plan and what was measured, to the next plan."""

import dataclasses
import math

import pytest

from adjoint.driver.learning import next_plan
from adjoint.driver.run import RunPlan
from adjoint.schedules import Revolve, Spilling
from adjoint.schedules.costs import Costs
from adjoint.simulation.replay import price

NUM_STEPS, SLOTS, ROWS = 200, 5, 100
COSTS = Costs(advance=1.0, pull_back=2.0, write=6.0, read=6.0)
SPILLING = Spilling(NUM_STEPS, SLOTS, 9.0, costs=COSTS)


def plan(schedule=SPILLING, costs=COSTS):
    return RunPlan(schedule, "chosen", costs, 1.0, rows=ROWS, resumes=True, evaluation=2)


def learn(before, *, revised=None, costs=None, seconds=1e9, rows=ROWS, needs_file=False):
    return next_plan(before, revised, costs, seconds, rows=rows, needs_file=needs_file)


def test_nothing_measured_changes_nothing_but_that_nothing_is_resumed():
    before = plan()
    assert learn(before) == dataclasses.replace(before, resumes=False, evaluation=3)
    assert before.resumes, "the plan that was played is left as it was"


def test_a_schedule_that_has_adapted_is_kept():
    revised = Spilling(NUM_STEPS, SLOTS, 20.0, costs=COSTS)
    assert learn(plan(), revised=revised).schedule is revised


def test_measured_costs_are_those_of_the_next_plan_and_predict_it():
    slower = dataclasses.replace(COSTS, advance=1.5, pull_back=2.5)
    after = learn(plan(), costs=slower, needs_file=True)
    assert after.costs == slower
    assert after.schedule.costs == slower
    assert after.reason == "chosen"
    predicted = price(after.schedule, slower).makespan
    assert after.predicted_seconds == pytest.approx(predicted, rel=0.005)


def in_memory_seconds():
    """What Revolve with as many slots takes, by replay."""
    return price(Revolve(NUM_STEPS, SLOTS), COSTS).makespan


def test_a_file_that_costs_more_than_it_saves_is_not_used_any_more():
    after = learn(plan(), costs=COSTS, seconds=1.05 * in_memory_seconds())
    assert after.schedule.file_states == 0
    assert after.schedule.num_slots <= SLOTS
    assert "not used any more" in after.reason
    assert after.predicted_seconds == pytest.approx(in_memory_seconds(), rel=0.01)


def test_the_first_evaluation_says_nothing_about_the_file():
    first = dataclasses.replace(plan(), evaluation=1)
    after = learn(first, costs=COSTS, seconds=100 * in_memory_seconds())
    assert after.schedule.file_states > 0


def test_a_file_that_saves_anything_is_kept():
    after = learn(plan(), costs=COSTS, seconds=in_memory_seconds())
    assert after.schedule.file_states > 0


def test_a_file_that_a_run_can_be_resumed_from_is_kept():
    after = learn(plan(), costs=COSTS, seconds=100 * in_memory_seconds(), needs_file=True)
    assert after.schedule.file_states > 0


def test_a_schedule_that_depends_on_no_costs_stays():
    revolve = Revolve(NUM_STEPS, SLOTS)
    after = learn(plan(revolve), costs=COSTS, rows=0)
    assert after.schedule is revolve
    assert after.predicted_seconds == pytest.approx(in_memory_seconds())


def test_a_run_whose_end_is_not_known_is_not_predicted():
    open_ended = Spilling(None, SLOTS, 9.0, costs=COSTS, max_file_states=ROWS)
    after = learn(plan(open_ended), costs=COSTS)
    assert math.isnan(after.predicted_seconds)
    assert after.schedule.file_states > 0
