"""The costs that a schedule is given, compared with those worked out by hand, on a fake clock."""

from dataclasses import dataclass, field, replace

import pytest

from adjoint.parallel import communicator
from adjoint.parallel.status_exchange import StatusExchange
from adjoint.schedules.costs import Costs
from adjoint.storage.engines.transfer import Statistics
from adjoint.sweep import cost_tracking

COSTS = Costs(advance=1.0, pull_back=2.0, write=10.0, read=10.0)


@dataclass
class Bench:
    """A cost tracker, its clock, its engine's statistics, and the costs that it has given."""

    taken: int = 0
    clock: list[float] = field(default_factory=lambda: [0.0])
    figures: Statistics = field(default_factory=Statistics)
    given: list[Costs] = field(default_factory=list)
    exchanges: StatusExchange = field(default_factory=lambda: StatusExchange(communicator(None), 1))

    def steps(self, count, seconds):
        """Take steps of `seconds` each."""
        self.taken += count
        self.clock[0] += count * seconds

    def wrote(self, *seconds, under_way=0.0):
        """Finish writes that took `seconds` each, with another one at work for some time."""
        done = self.figures.finished_write_seconds + sum(seconds)
        self.figures = replace(
            self.figures,
            writes_posted=self.figures.writes_posted + len(seconds),
            writes_done=self.figures.writes_done + len(seconds),
            finished_write_seconds=done,
            write_seconds=done + under_way,
        )

    def exchange(self):
        """Send what was measured, and use what was sent in the exchange before."""
        received = self.exchanges.exchange(self.tracker.measure(self.taken), self.taken)
        self.note(self.tracker.change_write(received))

    def read(self, seconds):
        self.note(self.tracker.change_read(seconds))

    def note(self, costs):
        if costs is not None:
            self.given.append(costs)


@pytest.fixture
def make(monkeypatch):
    def make(costs=COSTS, *, warm=True):
        bench = Bench()
        monkeypatch.setattr(cost_tracking.time, "perf_counter", lambda: bench.clock[0])
        members = {"statistics": property(lambda self: bench.figures), "moves_pieces": False}
        store = type("Store", (), members)()
        bench.tracker = cost_tracking.CostTracker(store, costs)
        if warm:
            bench.exchange()
        return bench

    return make


def test_costs_as_planned_are_not_changed(make):
    bench = make()
    for _ in range(5):
        bench.steps(10, 1.0)
        bench.wrote(10.0)
        bench.exchange()
    assert bench.given == []


def test_steps_before_the_first_exchange_are_not_measured(make):
    bench = make(warm=False)
    bench.steps(1, 500.0)
    for _ in range(5):
        bench.wrote(10.0)
        bench.exchange()
        bench.steps(10, 1.0)
    assert bench.given == []


def test_a_write_that_has_just_begun_does_not_count_as_a_short_one(make):
    bench = make()
    for _ in range(5):
        bench.steps(1, 1.0)
        bench.wrote(under_way=0.5)
        bench.exchange()
    assert bench.given == []


def test_each_write_counts_once_it_has_finished(make):
    bench = make()
    for _ in range(6):
        bench.steps(10, 1.0)
        bench.wrote(10.0, under_way=7.0)
        bench.exchange()
        bench.steps(10, 1.0)
        bench.wrote(10.0, under_way=1.0)
        bench.exchange()
    assert bench.given == []


def test_the_cost_of_a_write_follows_its_ratio_to_a_step(make):
    bench = make()
    for _ in range(3):
        bench.steps(1000, 0.002)
        bench.wrote(*[0.03] * 4)
        bench.exchange()
    # A write takes 15 steps, and a step is still 1 by the schedule's clock.
    assert [costs.write for costs in bench.given] == pytest.approx([15.0])
    assert bench.given[0].advance == COSTS.advance


def test_a_cost_changes_at_most_twofold_at_once(make):
    bench = make()
    for _ in range(4):
        bench.steps(100, 1.0)
        bench.wrote(*[55.0] * 4)
        bench.exchange()
    assert [costs.write for costs in bench.given] == pytest.approx([20.0, 40.0, 55.0])


def test_a_write_that_does_not_end_counts_with_its_time_so_far(make):
    bench = make()
    for k in range(1, 4):
        bench.steps(10, 1.0)
        bench.wrote(under_way=10.0 * k)
        bench.exchange()
    assert [costs.write for costs in bench.given] == pytest.approx([20.0])


def test_the_slowdown_by_writes_is_taken_off_step_times(make):
    slowed = replace(COSTS, slowdown=4.0)
    bench = make(slowed)
    for _ in range(3):
        # Writes are at work for 8 of every 26 seconds: those 8 are worth 2 steps.
        bench.steps(20, 26 / 20)
        bench.wrote(8.0)
        bench.exchange()
    assert [costs.write for costs in bench.given] == pytest.approx([8.0])


def test_a_write_takes_the_same_processor_time_however_long_it_is(make):
    bench = make(replace(COSTS, slowdown=2.0))
    for _ in range(3):
        bench.steps(20, 1.0)
        bench.wrote(6.0)
        bench.exchange()
    # It was to take 5 seconds of computing, out of 10: now it is 5 out of what a write takes.
    assert bench.given
    for costs in bench.given:
        assert costs.write < 10
        assert (1 - 1 / costs.slowdown) * costs.write == pytest.approx(5)


def test_the_cost_of_a_read_follows_its_ratio_to_a_step(make):
    bench = make()
    for _ in range(2):
        bench.steps(10, 2.0)
        bench.wrote(20.0)
        bench.exchange()
    assert bench.given == []
    bench.read(30.0)
    assert bench.given[-1].read == pytest.approx(15.0)


def test_one_slow_moment_changes_nothing_and_a_slower_pace_does(make):
    bench = make()
    for seconds in (1.0, 1.0, 1.4, 1.0, 1.0, 1.0):
        bench.steps(10, seconds)
        bench.wrote(10.0)
        bench.exchange()
    assert not bench.given
    for _ in range(6):
        bench.steps(10, 1.4)
        bench.wrote(10.0)
        bench.exchange()
    assert bench.given
    assert bench.given[0].write < 10.0
