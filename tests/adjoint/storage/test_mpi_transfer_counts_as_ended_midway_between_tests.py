"""A transfer that was under way at one look and done at the next has ended midway, on average.

So a write is not taken to last as long as the steps between which MPI is asked about it.
"""

from types import SimpleNamespace

import pytest

mpi_engine = pytest.importorskip("adjoint.storage.engines.mpi", exc_type=ImportError)


class Stage:
    """Is over at some time."""

    def __init__(self, clock, over_at):
        self.clock, self.over_at = clock, over_at

    def done(self):
        return self.clock.now >= self.over_at

    def exception(self):
        self.clock.now = max(self.clock.now, self.over_at)


class Bench:
    """A transfer with stages that are over at such times, and what it was told of them."""

    def __init__(self, clock, *over_at):
        self.told, self.error = [], None
        self.transfer = mpi_engine._MpiTransfer("write", 0, 0, SimpleNamespace(wait_seconds=0.0))
        self.transfer.begin(self.stages(clock, over_at), self.end)

    def stages(self, clock, over_at):
        for at in over_at:
            self.told.append((yield Stage(clock, at)))
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


def test_midway_since_the_last_look(clock):
    bench = Bench(clock, 105.0)
    for clock.now in (101.0, 104.0, 110.0):
        bench.transfer.go_on()
    assert bench.told == [(104.0 + 110.0) / 2]
    assert bench.transfer.done


def test_since_it_was_posted_if_nobody_looked(clock):
    bench = Bench(clock, 105.0)
    clock.now = 110.0
    assert bench.transfer.done
    assert bench.told == [105.0]


def test_at_once_if_it_was_waited_for(clock):
    bench = Bench(clock, 105.0, 107.0)
    bench.transfer.settle()
    assert bench.told == [105.0, 107.0]


def test_stages_that_were_passed_at_one_look_ended_together(clock):
    bench = Bench(clock, 101.0, 103.0, 120.0)
    clock.now = 104.0
    bench.transfer.go_on()
    assert bench.told == [102.0, 102.0]
    bench.transfer.settle()
    assert bench.told[2] == 120.0
    assert str(bench.error) == "in the end"
