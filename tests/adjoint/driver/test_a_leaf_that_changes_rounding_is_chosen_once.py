"""A stepper whose rounding depends on the leaf gets one leaf, by sizes alone, and keeps it.

The same leaf gives the same bits: in later evaluations, in a second run, in a run that is resumed
with other memory. Another leaf gives others, or the tests would show nothing.
"""

import pytest
from coupled_pendulums import CoupledPendulums

import adjoint
from adjoint.driver.budgets import find_leaf
from adjoint.driver.options import Options
from adjoint.driver.run import Run
from adjoint.parallel import communicator, status_exchange
from adjoint.schedules import Revolve, Spilling, StoreAll
from adjoint.schedules.costs import Costs
from adjoint.sweep import journal

NUM_STEPS, PENDULUMS, USUAL = 240, 40, 8
STATE = 8 * 2 * PENDULUMS
COSTS = Costs(advance=1.0, pull_back=2.0, write=6.0, read=6.0)


class CrashError(Exception):
    """Stands for a kill."""


class Grouped(CoupledPendulums):
    """Adds what the steps of a leaf give to each other before it adds that to the gradient."""

    def __init__(self, leaf_steps=None, *, crash_at=None):
        super().__init__(PENDULUMS, NUM_STEPS)
        self.leaf_sensitive = leaf_steps is None
        self.leaf_steps = leaf_steps or USUAL
        self.taken, self.crash_at = 0, crash_at

    def wait(self):
        self.taken += 1
        if self.taken == self.crash_at:
            raise CrashError

    def pull_back(self, start, stop):
        totals = {name: total.copy() for name, total in self.accumulators.items()}
        for total in self.accumulators.values():
            total[...] = 0
        super().pull_back(start, stop)
        for name, total in totals.items():
            self.accumulators[name][...] += total

    def fingerprint(self):
        return {"leaf": self.leaf_steps}


def bits(gradient):
    return {name: array.tobytes() for name, array in gradient.items()}


def by_hand(leaf):
    schedule = StoreAll(NUM_STEPS, leaf_steps=leaf)
    return bits(adjoint.gradient(Grouped(leaf), NUM_STEPS, schedule=schedule).gradient)


def chosen(memory):
    comm = communicator(None)
    run = Run.of(Grouped(), NUM_STEPS, Options.parse({"memory": memory}, comm), comm)
    return find_leaf(run)


LITTLE, MUCH = 12 * STATE, 4000 * STATE


def test_leaves_change_bits_and_memory_changes_the_leaf():
    assert by_hand(3) != by_hand(8)
    assert chosen(LITTLE) != chosen(MUCH)


@pytest.mark.parametrize("memory", [LITTLE, 60 * STATE, MUCH])
def test_every_evaluation_has_the_leaf_that_the_sizes_say(memory):
    leaf, stepper = chosen(memory), Grouped()
    assert stepper.taken == 0
    expected = by_hand(leaf)
    with adjoint.Functional(stepper, NUM_STEPS, memory=memory) as functional:
        value = functional.value()
        assert stepper.leaf_steps == leaf
        for _ in range(5):
            cost, gradient = functional.value_and_gradient()
            assert bits(gradient) == expected
            assert cost == value
            assert functional.schedule.leaf_steps == leaf
            assert functional.report.leaf_steps == leaf


def test_a_leaf_that_is_given_is_exact():
    for leaf in (3, 16):
        with adjoint.Functional(Grouped(leaf), NUM_STEPS, memory=MUCH) as functional:
            assert functional.plan().schedule.leaf_steps == leaf
            assert bits(functional.value_and_gradient()[1]) == by_hand(leaf)


def test_the_leaf_of_a_schedule_is_taken():
    result = adjoint.gradient(Grouped(), NUM_STEPS, schedule=Revolve(NUM_STEPS, 9, leaf_steps=5))
    assert bits(result.gradient) == by_hand(5)


def test_functionals_with_other_leaves_may_share_a_stepper():
    stepper = Grouped()
    with (
        adjoint.Functional(stepper, NUM_STEPS, memory=LITTLE) as little,
        adjoint.Functional(stepper, NUM_STEPS, memory=MUCH) as much,
    ):
        for _ in range(2):
            assert bits(little.value_and_gradient()[1]) == by_hand(chosen(LITTLE))
            assert bits(much.value_and_gradient()[1]) == by_hand(chosen(MUCH))


def test_a_run_that_ended_leaves_its_leaf_to_the_next_one(tmp_path):
    file = tmp_path / "run.h5"
    adjoint.gradient(Grouped(), NUM_STEPS, memory=LITTLE, file=file)
    result = adjoint.gradient(Grouped(), NUM_STEPS, memory=MUCH, file=file, resume=True)
    assert bits(result.gradient) == by_hand(chosen(LITTLE))
    with adjoint.Functional(
        Grouped(), NUM_STEPS, memory=MUCH, file=file, resume=True
    ) as functional:
        functional.value()
        assert functional.stepper.leaf_steps == chosen(LITTLE)


@pytest.mark.parametrize("crash_at", [180, 400])
def test_a_killed_run_is_resumed_with_its_leaf_in_other_memory(crash_at, tmp_path, monkeypatch):
    monkeypatch.setattr(status_exchange, "EXCHANGE_SECONDS", 0.0)
    monkeypatch.setattr(journal, "MIN_GAP", 0)
    file = {"file": tmp_path / "run.h5", "max_lost_share": 1e-6}
    schedule = Spilling(NUM_STEPS, 4, 12.0, costs=COSTS, leaf_steps=6)
    with pytest.raises(CrashError):
        adjoint.gradient(Grouped(crash_at=crash_at), NUM_STEPS, schedule=schedule, **file)
    result = adjoint.gradient(Grouped(), NUM_STEPS, memory=MUCH, resume=True, **file)
    assert result.report.resumed_from
    assert bits(result.gradient) == by_hand(6)
