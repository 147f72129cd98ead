"""Steps or costs that differ when they are taken again are an error that names where, always.

The schedules are those of the schedule contract. Whether a schedule takes any step again follows
from its own actions.
"""

import re

import numpy as np
import pytest
from ended import Ended
from every_schedule import FAMILIES, with_tapes_of_states
from pendulums import Pendulums
from unrepeatable import KINDS, Drawing, DrawingCost, OnceOdd

import adjoint
from adjoint.errors import ReplayError, StepperError
from adjoint.parallel import status_exchange
from adjoint.schedules import Mixed, Revolve, Spilling, StoreAll
from adjoint.schedules.actions import PullBack, Record, Restore, Turn
from adjoint.schedules.costs import Costs
from adjoint.sweep import journal

NUM_STEPS = 11
COSTS = Costs(advance=1.0, unreached=1.0, pull_back=1.0, write=0.5, read=0.5)


def _cases():
    """Give some schedules of every family, in leaves of 1 and of 3 steps."""
    for name, (of_family, _draw) in FAMILIES.items():
        for leaf in (1, 3):
            found = list(of_family(NUM_STEPS, leaf, 4))
            for index in sorted({0, len(found) // 2, len(found) - 1}):
                schedule = found[index]
                if name in {"Mixed", "Spilling", "TapesInFile"}:
                    schedule = with_tapes_of_states(schedule)
                yield pytest.param(schedule, id=f"{name}, leaves of {leaf}, {index}")


CASES = list(_cases())


def evaluate(stepper, schedule, folder, **options):
    played = schedule.schedule if isinstance(schedule, Ended) else schedule
    file = folder if schedule.file_states else None
    return adjoint.gradient(
        stepper, schedule.num_steps, schedule=played, file=file, **options
    ).report


def steps_named(error):
    start, stop = map(int, re.search(r"between steps (\d+) and (\d+)", str(error)).groups())
    assert start < stop
    return start, stop


def records_again(schedule):
    """Return whether leaves are recorded in the reverse sweep: the others were taken once."""
    actions = list(schedule)
    return any(type(action) is Record for action in actions[actions.index(Turn()) :])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("schedule", CASES)
def test_under_every_schedule(schedule, kind, tmp_path):
    first = 0 if kind == "remembers" else 5  # what it remembers of step 4 may be right
    stepper = KINDS[kind](3, NUM_STEPS, first=first)
    if not records_again(schedule):
        evaluate(stepper, schedule, tmp_path)
        return
    with pytest.raises(ReplayError, match="look for random numbers") as raised:
        evaluate(stepper, schedule, tmp_path)
    _, stop = steps_named(raised.value)
    assert stop > first
    assert ("cost came out" in str(raised.value)) == (kind == "draws costs")


def test_most_schedules_record_again():
    """Otherwise the test before this one would show little."""
    replaying = [records_again(case.values[0]) for case in CASES]
    assert sum(replaying) >= 0.9 * len(replaying)


# Where the difference arose -----------------------------------------------------------------------


@pytest.mark.parametrize("odd", range(NUM_STEPS - 1))
@pytest.mark.parametrize(
    "schedule",
    [
        StoreAll(NUM_STEPS),
        Revolve(NUM_STEPS, 1),
        Revolve(NUM_STEPS, 3),
        Revolve(NUM_STEPS, 2, leaf_steps=2),
        Mixed(NUM_STEPS, 4, 2),
        Spilling(NUM_STEPS, 2, 3, costs=COSTS),
    ],
    ids=repr,
)
def test_a_stepper_that_reaches_the_end_of_a_leaf_is_compared_in_every_leaf(
    schedule, odd, tmp_path
):
    stepper = OnceOdd(3, NUM_STEPS, odd)
    try:
        evaluate(stepper, schedule, tmp_path)
    except ReplayError as error:
        start, stop = steps_named(error)
        assert start <= odd < stop
        assert stepper.taken[odd] > 1
    else:
        assert stepper.taken[odd] == 1


def test_leaves_are_compared_throughout_a_long_run():
    class Early(Drawing):
        def step(self, step, state, out):
            self.first = 0 if step < 70 else step + 1
            super().step(step, state, out)

    with pytest.raises(ReplayError) as raised:
        adjoint.gradient(Early(2, 500), 500, schedule=Revolve(500, 5))
    assert steps_named(raised.value)[0] < 70


def test_no_more_than_that_is_taken_again_for_it():
    calls = []

    class Noting(Drawing):
        def step(self, step, state, out):
            calls.append(step)
            super().step(step, state, out)

    def count(**options):
        calls.clear()
        stepper = Noting(2, 500, first=500)
        adjoint.gradient(stepper, 500, schedule=Revolve(500, 5), **options)
        return len(calls)

    extra = count() - count(check_replays=False)
    assert extra == len([2, 3, 5, 9, 17, 33, *range(65, 500, 64)])


# Snapshots ----------------------------------------------------------------------------------------


class Scribbling(Drawing):
    """Keeps a reference to the array of an earlier state, and writes to it later."""

    kept = None

    def step(self, step, state, out):
        super().step(step, state, out)
        if step == 4:
            self.kept = out["u"]
        if step == 9:
            self.kept[0] += 1e-7


def test_a_snapshot_that_the_stepper_has_written_to():
    with pytest.raises(ReplayError, match="snapshot of step 5 has changed since it was stored"):
        adjoint.gradient(
            Scribbling(2, NUM_STEPS, first=NUM_STEPS), NUM_STEPS, schedule=StoreAll(NUM_STEPS)
        )


class ScribblingLate(Drawing):
    """Writes to an earlier state in its slot when the derivative of one step is taken."""

    def __init__(self, kept, at):
        super().__init__(2, NUM_STEPS, first=NUM_STEPS)
        self.kept_step, self.at = kept, at
        self.kept = self.array = None

    def step(self, step, state, out):
        super().step(step, state, out)
        if step + 1 == self.kept_step and self.kept is None:
            self.kept = out["u"].copy()

    def adopt(self, arrays):
        super().adopt(arrays)
        if self.kept is not None and np.array_equal(arrays["u"], self.kept):
            self.array = arrays["u"]

    def step_vjp(self, step, state, adjoint, gradient):
        super().step_vjp(step, state, adjoint, gradient)
        if step == self.at:
            self.array[0] += 1e-7


@pytest.mark.parametrize("slots", [2, 3])
def test_a_snapshot_that_changes_between_two_uses(slots):
    schedule = Revolve(NUM_STEPS, slots)
    actions = list(schedule)
    restored = [action.step for action in actions if type(action) is Restore]
    kept = next(step for step in restored if step and restored.count(step) > 1)
    after = actions[actions.index(Restore(kept)) :]
    at = next(action.start for action in after if type(action) is PullBack)
    with pytest.raises(ReplayError, match=f"snapshot of step {kept} has changed"):
        adjoint.gradient(ScribblingLate(kept, at), NUM_STEPS, schedule=schedule)


# Not compared -------------------------------------------------------------------------------------


class Free(Drawing):
    reproducible = False


class Ghosts(Drawing):
    writes_ghosts = True


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        (Free, {}, "the stepper is not reproducible"),
        (Ghosts, {}, "ghost cells"),
        (Drawing, {"check_replays": False}, "check_replays is False"),
    ],
)
def test_the_report_says_what_is_not_compared(kind, options, reason, tmp_path):
    report = evaluate(kind(2, NUM_STEPS), Revolve(NUM_STEPS, 2), tmp_path, **options)
    assert report.compared_states == 0
    assert reason in report.unchecked
    assert f"replays not checked: {report.unchecked}" in str(report)


def test_the_report_of_a_checked_run_does_not(tmp_path):
    report = evaluate(Drawing(2, NUM_STEPS, first=NUM_STEPS), Revolve(NUM_STEPS, 2), tmp_path)
    assert report.compared_states > 0
    assert "not checked" not in str(report)


# Afterwards ---------------------------------------------------------------------------------------


def test_the_next_evaluation_is_checked_anew():
    schedule = Revolve(NUM_STEPS, 2)
    stepper = DrawingCost(2, NUM_STEPS)
    with adjoint.Functional(stepper, NUM_STEPS, schedule=schedule) as functional:
        with pytest.raises(StepperError):
            functional.value_and_gradient()
        stepper.first = NUM_STEPS
        cost, gradient = functional.value_and_gradient()
    expected = adjoint.gradient(DrawingCost(2, NUM_STEPS, first=NUM_STEPS), NUM_STEPS)
    assert cost == expected.cost
    for name, array in expected.gradient.items():
        np.testing.assert_array_equal(gradient[name], array)


def assert_same_bits(found, expected):
    assert found.cost == expected.cost
    for name, array in expected.gradient.items():
        assert found.gradient[name].tobytes() == array.tobytes(), name


class KilledError(Exception):
    pass


class Weighted(Pendulums):
    """Steps with a constant that nothing else knows of; may be ended in the reverse sweep."""

    def __init__(self, weight, killed_at=None):
        super().__init__(2, 40)
        self.weight, self.killed_at = weight, killed_at

    def step(self, step, state, out):
        super().step(step, state, out)
        out["v"] += self.weight

    def pull_back(self, start, stop):
        if start == self.killed_at:
            raise KilledError
        super().pull_back(start, stop)


@pytest.mark.parametrize("slots", [2, 4])
@pytest.mark.parametrize("killed_at", [35, 21])
def test_a_run_resumed_with_other_steps_begins_afresh(killed_at, slots, tmp_path, monkeypatch):
    monkeypatch.setattr(status_exchange, "EXCHANGE_SECONDS", 0.0)
    monkeypatch.setattr(journal, "MIN_GAP", 0)
    schedule = Spilling(40, slots, 6, costs=COSTS)
    options = {"schedule": schedule, "file": tmp_path / "run.h5", "max_lost_share": 1e-9}
    with pytest.raises(KilledError):
        adjoint.gradient(Weighted(0.1, killed_at), 40, **options)
    right = adjoint.gradient(Weighted(0.1), 40)
    other = adjoint.gradient(Weighted(0.1 + 1e-12), 40, resume=True, **options)
    assert_same_bits(other, adjoint.gradient(Weighted(0.1 + 1e-12), 40))
    found = adjoint.gradient(Weighted(0.1), 40, resume=True, **options)
    assert_same_bits(found, right)


def test_a_run_that_differed_is_not_resumed(tmp_path):
    schedule = Spilling(NUM_STEPS, 2, 2, costs=COSTS)
    options = {"schedule": schedule, "file": tmp_path / "run.h5", "max_lost_share": 1e-9}
    with pytest.raises(ReplayError):
        adjoint.gradient(Drawing(2, NUM_STEPS), NUM_STEPS, **options)
    mended = Drawing(2, NUM_STEPS, first=NUM_STEPS)
    found = adjoint.gradient(mended, NUM_STEPS, resume=True, **options)
    assert_same_bits(found, adjoint.gradient(mended, NUM_STEPS))
