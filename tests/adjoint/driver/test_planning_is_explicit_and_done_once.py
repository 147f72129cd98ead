"""`Functional.plan` measures and plans once; `Functional.schedule` never runs anything."""

import math

from pendulums import Pendulums

import adjoint
from adjoint.schedules import Revolve

NUM_STEPS = 400
TIGHT = 100_000
"""Memory for some ten states of 600 pendulums: too little to plan without measuring."""


class Counted(Pendulums):
    """Counts the steps that it takes."""

    taken = 0

    def step(self, step, state, out):
        self.taken += 1
        super().step(step, state, out)


def test_there_is_no_schedule_before_the_plan_and_asking_for_it_runs_nothing():
    stepper = Counted(600, NUM_STEPS)
    with adjoint.Functional(stepper, NUM_STEPS, memory=TIGHT) as functional:
        assert functional.schedule is None
        assert stepper.taken == 0
        plan = functional.plan()
        assert stepper.taken > 0
        assert functional.schedule is plan.schedule


def test_a_second_plan_and_the_first_gradient_measure_nothing_more():
    stepper = Counted(600, NUM_STEPS)
    with adjoint.Functional(stepper, NUM_STEPS, memory=TIGHT) as functional:
        plan = functional.plan()
        measured, stepper.taken = stepper.taken, 0
        assert functional.plan() == plan
        assert stepper.taken == 0
        functional.value_and_gradient()
        report = functional.report
        assert report.predicted_seconds == plan.predicted_seconds
        assert report.reason == plan.reason
        assert report.num_steps == NUM_STEPS
        assert measured > 0
        assert stepper.taken <= report.advanced_steps + report.recorded_steps


def test_a_schedule_that_is_given_is_the_plan():
    stepper, given = Counted(600, NUM_STEPS), Revolve(NUM_STEPS, 4)
    with adjoint.Functional(stepper, NUM_STEPS, schedule=given) as functional:
        plan = functional.plan()
        assert plan.schedule is given
        assert math.isnan(plan.predicted_seconds)
        assert stepper.taken == 0


def test_planning_creates_no_file(tmp_path):
    path = tmp_path / "run.h5"
    with adjoint.Functional(Counted(600, NUM_STEPS), NUM_STEPS, memory=TIGHT, file=path) as run:
        run.plan()
        assert not list(tmp_path.iterdir())
        run.value_and_gradient()
        assert path.exists()
