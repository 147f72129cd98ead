"""What a schedule is told of costs, worked out by hand: on a clock and a store that do as told."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest

from adjoint.parallel import communicator
from adjoint.parallel.status_exchange import RankStatus
from adjoint.schedules.costs import Costs
from adjoint.storage.engines.transfer import Statistics
from adjoint.sweep import cost_tracking

COSTS = Costs(advance=1.0, pull_back=2.0, write=10.0, read=10.0)


@dataclass
class Bench:
    """A cost_tracking, its clock, its store's figures, and what it has told a schedule."""

    clock: list[float] = field(default_factory=lambda: [0.0])
    figures: Statistics = field(default_factory=Statistics)
    told: list[Costs] = field(default_factory=list)

    def update_costs(self, costs):
        self.told.append(costs)

    def steps(self, count, seconds):
        """Take steps of so many seconds."""
        self.steering.note_steps(count, forward=True)
        self.clock[0] += count * seconds

    def wrote(self, *seconds, under_way=0.0):
        """Have writes done that took so long each, and another at work for some time."""
        done = self.figures.finished_write_seconds + sum(seconds)
        self.figures = replace(
            self.figures,
            writes_posted=self.figures.writes_posted + len(seconds),
            writes_done=self.figures.writes_done + len(seconds),
            finished_write_seconds=done,
            write_seconds=done + under_way,
        )

    def beat(self):
        """Say what there is to say, hear what was said before, and adapt."""
        heard = self.steering.beat(RankStatus())
        self.steering.adapt(heard, self)


@pytest.fixture
def make(monkeypatch):
    def make(costs=COSTS, *, warm=True):
        bench = Bench()
        monkeypatch.setattr(cost_tracking.time, "perf_counter", lambda: bench.clock[0])
        engine = type("Engine", (), {"statistics": property(lambda self: bench.figures)})()
        store = SimpleNamespace(engine=engine)
        bench.steering = cost_tracking.CostTracker(communicator(None), store, 1, costs, 0.0)
        if warm:
            bench.beat()
        return bench

    return make


def test_what_is_as_planned_is_not_told(make):
    bench = make()
    for _ in range(5):
        bench.steps(10, 1.0)
        bench.wrote(10.0)
        bench.beat()
    assert bench.told == []


def test_the_steps_before_the_first_beat_are_not_reckoned_with(make):
    bench = make(warm=False)
    bench.steps(1, 500.0)
    for _ in range(5):
        bench.wrote(10.0)
        bench.beat()
        bench.steps(10, 1.0)
    assert bench.told == []


def test_a_write_that_has_just_begun_is_no_short_one(make):
    bench = make()
    for _ in range(5):
        bench.steps(1, 1.0)
        bench.wrote(under_way=0.5)
        bench.beat()
    assert bench.told == []


def test_each_write_counts_as_a_whole(make):
    bench = make()
    for _ in range(6):
        bench.steps(10, 1.0)
        bench.wrote(10.0, under_way=7.0)
        bench.beat()
        bench.steps(10, 1.0)
        bench.wrote(10.0, under_way=1.0)
        bench.beat()
    assert bench.told == []


def test_the_ratio_to_a_step_is_what_counts(make):
    bench = make()
    for _ in range(3):
        bench.steps(1000, 0.002)
        bench.wrote(*[0.03] * 4)
        bench.beat()
    # A write takes 15 steps, and a step is still 1 by the schedule's clock.
    assert [costs.write for costs in bench.told] == pytest.approx([15.0])
    assert bench.told[0].advance == COSTS.advance


def test_no_change_is_more_than_twofold(make):
    bench = make()
    for _ in range(4):
        bench.steps(100, 1.0)
        bench.wrote(*[55.0] * 4)
        bench.beat()
    assert [costs.write for costs in bench.told] == pytest.approx([20.0, 40.0, 55.0])


def test_a_write_that_does_not_end_takes_as_long_as_it_has(make):
    bench = make()
    for k in range(1, 4):
        bench.steps(10, 1.0)
        bench.wrote(under_way=10.0 * k)
        bench.beat()
    assert [costs.write for costs in bench.told] == pytest.approx([20.0])


def test_steps_that_writes_slow_down_are_reckoned_without_that(make):
    slowed = replace(COSTS, slowdown=4.0)
    bench = make(slowed)
    for _ in range(3):
        # Writes are at work for 8 of every 26 seconds: those 8 are worth 2 steps.
        bench.steps(20, 26 / 20)
        bench.wrote(8.0)
        bench.beat()
    assert [costs.write for costs in bench.told] == pytest.approx([8.0])


def test_a_write_takes_as_much_of_computing_however_long_it_is(make):
    bench = make(replace(COSTS, slowdown=2.0))
    for _ in range(3):
        bench.steps(20, 1.0)
        bench.wrote(6.0)
        bench.beat()
    # It was to take 5 seconds of computing, out of 10: now it is 5 out of what a write takes.
    assert bench.told
    for told in bench.told:
        assert told.write < 10
        assert (1 - 1 / told.slowdown) * told.write == pytest.approx(5)


def test_reads_are_told_by_the_same_measure(make):
    bench = make()
    for _ in range(2):
        bench.steps(10, 2.0)
        bench.wrote(20.0)
        bench.beat()
    assert bench.told == []
    bench.steering.adapt_reads(30.0, bench)
    assert bench.told[-1].read == pytest.approx(15.0)


def test_one_slow_beat_is_not_told_and_a_slower_pace_is(make):
    bench = make()
    for seconds in (1.0, 1.0, 1.4, 1.0, 1.0, 1.0):
        bench.steps(10, seconds)
        bench.wrote(10.0)
        bench.beat()
    assert not bench.told
    for _ in range(6):
        bench.steps(10, 1.4)
        bench.wrote(10.0)
        bench.beat()
    assert bench.told
    assert bench.told[0].write < 10.0
