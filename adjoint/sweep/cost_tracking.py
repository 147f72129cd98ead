"""What a sweep is told by the world while it goes on, and what it tells: costs, failures, signals.

A schedule's decisions are made by a virtual clock, on costs that all ranks hold. Here are the real
ones: what steps and writes have taken lately, which writes have failed, whether the process is to
end. The ranks agree on all of it in the beats of a `StatusExchange`; reads are agreed on when they
are first used, because they must be anyway.

*Spacing.* Only ratios matter, since by a schedule's clock a step takes what it was said to take.
The largest of all ranks' mean write times, over the largest of their mean step times, is what the
spacing of states in the file follows: the mean, because slots absorb what varies from one write to
the next. Steps that were measured while writes were at work, for a share ``b`` of the time, and
that these slow by a factor ``s``, would take ``1 - b + b / s`` of that without them. The steps
before the first beat are not reckoned with: what compiles itself does so then, and memory is
touched for the first time. A transfer is taken to keep the processor from as much computing whether
it takes long or not: its bytes are as many. The schedule is told only if the ratio has changed by
more than `DEAD_BAND`, and never by more than a factor of `MOST_CHANGE` at once.
"""

import time
from dataclasses import dataclass, replace
from typing import cast

from adjoint.parallel import Communicator
from adjoint.parallel.status_exchange import RankStatus, StatusExchange
from adjoint.schedules import AdaptiveStream
from adjoint.schedules.costs import Costs
from adjoint.storage.store import FileStore

__all__ = ["CostTracker"]

DEAD_BAND = 0.15

REMEMBERED = 4
"""Writes that the mean of those before counts for."""

REMEMBERED_BEATS = 3
"""Beats whose mean step time counts as much as that of the next: a machine has slow moments."""

REMEMBERED_READS = 16
"""The same of reads: to look for them a little too early does little harm."""

MOST_CHANGE = 2.0

BACKLOG_WEIGHT, MOST_DRAINING = 0.05, 0.25
"""Writes are reckoned so much slower for each that waits: else what has piled up would stay."""

MOST_LOST = 0.9
"""Of the time of computing, to a transfer that is at work meanwhile."""

LEAST_COST = 1e-12
"""Seconds: a cost of nothing at all has no ratio to another."""


@dataclass(slots=True)
class _Mark:
    """What had been done at some moment."""

    time: float
    steps: int
    wait_seconds: float
    write_seconds: float


class CostTracker:
    """The real costs of one sweep, and the beats in which ranks agree on them.

    Parameters
    ----------
    comm
        Whose ranks agree.
    store
        Whose transfers are measured.
    grid
        Beats lie at multiples of so many steps.
    costs
        What the schedule was made for; None if it goes by none.
    elapsed
        Seconds that the runs have taken which this one resumes.
    """

    def __init__(
        self, comm: Communicator, store: FileStore, grid: int, costs: Costs | None, elapsed: float
    ) -> None:
        self.heartbeat = StatusExchange(comm, grid)
        self.changes = 0
        """How often the schedule was told of other costs."""
        self.costs = costs
        """What it was told last."""
        self._store = store
        self._grid = grid
        self._elapsed = elapsed
        self._began = time.perf_counter()
        self._steps = 0
        self._is_warm = False
        self._write_seconds = 0.0
        self._step_seconds = 0.0
        self._busy = 0.0
        self._agreed_step_seconds = 0.0
        """Of all ranks, and without what writes slow them by: nothing that only this rank has
        measured may change what is done."""
        done = store.engine.statistics
        self._writes = _Mean(done.writes_done, done.finished_write_seconds, REMEMBERED)
        self._reads = _Mean(done.reads_done, done.finished_read_seconds, REMEMBERED_READS)
        self._mark = _Mark(self._began, 0, done.wait_seconds, done.write_seconds)

    @property
    def elapsed(self) -> float:
        """Seconds since the run began, by this rank's clock."""
        return self._elapsed + time.perf_counter() - self._began

    def cut(self, start: int, stop: int) -> int:
        """Return how far to step from `start` at once, so that the next beat is on time."""
        left = max(1, self.heartbeat.steps_left())
        return min(stop, start + -(-left // self._grid) * self._grid)

    def note_steps(self, steps: int, *, forward: bool) -> None:
        """Take note of steps that were taken, or pulled back."""
        self.heartbeat.note_steps(steps)
        self._steps += steps if forward else 0

    def progress(self) -> None:
        """Let transfers and the reduction under way go on."""
        self._store.engine.progress()
        self.heartbeat.progress()

    def beat(self, word: RankStatus) -> RankStatus:
        """Add this rank's costs to its word and say it; return what all said in the last beat."""
        self._measure()
        word.elapsed = self.elapsed
        word.step_seconds = self._step_seconds
        word.write_seconds = self._write_seconds
        word.busy = self._busy
        statistics = self._store.engine.statistics
        word.backlog = statistics.writes_posted - statistics.writes_done
        return self.heartbeat.beat(word)

    def restart_clock(self) -> None:
        """Leave what was done since the last beat out of what steps take."""
        done = self._store.engine.statistics
        self._mark = _Mark(time.perf_counter(), self._steps, done.wait_seconds, done.write_seconds)

    def adapt(self, word: RankStatus, stream: AdaptiveStream) -> None:
        """Tell a schedule what writes cost now, in the forward sweep."""
        if self.costs is None or not word.step_seconds or not word.write_seconds:
            return
        slowed = 1 - word.busy + word.busy / self.costs.slowdown
        self._agreed_step_seconds = word.step_seconds * slowed
        behind = min(MOST_DRAINING, BACKLOG_WEIGHT * max(0.0, word.backlog - 1))
        self._tell(stream, "write", (1 + behind) * word.write_seconds)

    def read_seconds(self) -> float:
        """Return what a read took lately on this rank; 0 if there was none."""
        done = self._store.engine.statistics
        return self._reads.mean(done.reads_done, done.finished_read_seconds)

    def adapt_reads(self, seconds: float, stream: AdaptiveStream) -> None:
        """Tell a schedule what reads cost now: the largest of all ranks' means."""
        if self.costs is None or not seconds or not self._agreed_step_seconds:
            return
        self._tell(stream, "read", seconds)

    # -- inside ---------------------------------------------------------------------------------

    def _tell(self, stream: AdaptiveStream, name: str, seconds: float) -> None:
        """Tell a schedule of a cost, if it has changed, in the units of its own clock."""
        costs = cast(Costs, self.costs)
        before = max(LEAST_COST, getattr(costs, name))
        now = costs.advance * seconds / self._agreed_step_seconds
        factor = min(MOST_CHANGE, max(1 / MOST_CHANGE, now / before))
        if abs(factor - 1) < DEAD_BAND:
            return
        slowing = "slowdown" if name == "write" else "read_slowdown"
        slowdown = _as_disturbing(getattr(costs, slowing), factor)
        self.costs = replace(costs, **{name: factor * before, slowing: slowdown})
        self.changes += 1
        stream.update_costs(self.costs)

    def _measure(self) -> None:
        """Take the means since the last beat."""
        mark, done, now = self._mark, self._store.engine.statistics, time.perf_counter()
        steps = self._steps - mark.steps
        if steps and self._is_warm:
            waited = done.wait_seconds - mark.wait_seconds
            computing = max(LEAST_COST, now - mark.time - waited)
            share = 1 / (1 + REMEMBERED_BEATS) if self._step_seconds else 1.0
            self._step_seconds += share * (computing / steps - self._step_seconds)
            busy = min(1.0, (done.write_seconds - mark.write_seconds) / computing)
            self._busy += share * (busy - self._busy)
        self._write_seconds = self._writes.mean(done.writes_done, done.finished_write_seconds)
        under_way = done.write_seconds - done.finished_write_seconds
        planned = 0.0 if self.costs is None else self.costs.write
        if under_way > max(self._write_seconds, planned):
            self._write_seconds = under_way  # and so much at the least
        self._is_warm = True
        self.restart_clock()


def _as_disturbing(slowdown: float, factor: float) -> float:
    """Return what slows computing as much in all if it takes so many times as long."""
    share = (1 - 1 / slowdown) / factor
    return 1 / (1 - min(MOST_LOST, share))


class _Mean:
    """The mean time of the transfers that were over lately, each counted once.

    Not of those that were over before: there were so many, which took so long.
    """

    def __init__(self, count: int, seconds: float, remembered: int) -> None:
        self._remembered = remembered
        self._count = count
        self._seconds = seconds
        self._mean = 0.0

    def mean(self, count: int, seconds: float) -> float:
        """Return it, given how many are over, and what they have taken; 0 if none is."""
        new = count - self._count
        if new:
            share = min(1.0, new / self._remembered) if self._mean else 1.0
            self._mean += share * ((seconds - self._seconds) / new - self._mean)
            self._count, self._seconds = count, seconds
        return self._mean
