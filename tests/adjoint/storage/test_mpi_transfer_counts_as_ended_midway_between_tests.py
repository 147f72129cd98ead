"""A transfer under way at one test and done at the next counts as ended midway between them.

So the measured time of a write is not that of the steps between which MPI is tested.
"""

from types import SimpleNamespace

import pytest

mpi_engine = pytest.importorskip("adjoint.storage.engines.mpi", exc_type=ImportError)


class Stage:
    """A stage that ends at a given time."""

    def __init__(self, clock, over_at):
        self.clock, self.over_at = clock, over_at

    @property
    def done(self):
        return self.clock.now >= self.over_at

    def wait(self, seconds):
        self.clock.now = max(self.clock.now, self.over_at)
        return True


class Bench:
    """A transfer with stages that end at given times, and the times it was sent."""

    def __init__(self, clock, *over_at):
        self.times, self.error = [], None
        self.transfer = mpi_engine._MpiTransfer("write", 0, 0, 0, SimpleNamespace(wait_seconds=0.0))
        self.transfer.begin(self.stages(clock, over_at), self.end)

    def stages(self, clock, over_at):
        for at in over_at:
            self.times.append((yield Stage(clock, at)))
        if len(over_at) > 2:
            raise OSError("in the end")

    def end(self, transfer, error):
        self.error = error


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=100.0)
    look = SimpleNamespace(perf_counter=lambda: clock.now)
    for module in ("mpi", "transfer"):
        monkeypatch.setattr(f"adjoint.storage.engines.{module}.time", look)
    return clock


def test_midway_since_the_last_test(clock):
    bench = Bench(clock, 105.0)
    for clock.now in (101.0, 104.0, 110.0):
        bench.transfer.go_on()
    assert bench.times == [(104.0 + 110.0) / 2]
    assert bench.transfer.done


def test_midway_since_it_was_posted_if_never_tested(clock):
    bench = Bench(clock, 105.0)
    clock.now = 110.0
    assert bench.transfer.done
    assert bench.times == [105.0]


def test_when_it_ended_if_it_was_waited_for(clock):
    bench = Bench(clock, 105.0, 107.0)
    bench.transfer.settle()
    assert bench.times == [105.0, 107.0]


def test_stages_passed_in_one_test_ended_together(clock):
    bench = Bench(clock, 101.0, 103.0, 120.0)
    clock.now = 104.0
    bench.transfer.go_on()
    assert bench.times == [102.0, 102.0]
    bench.transfer.settle()
    assert bench.times[2] == 120.0
    assert str(bench.error) == "in the end"
