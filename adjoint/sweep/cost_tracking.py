"""The costs that a schedule goes by, kept up to date by what steps, writes and reads take.

A schedule decides by a virtual clock, on costs that are the same on all ranks. Here the real costs
are measured. Those of steps and writes are sent to the other ranks in each status exchange
(`adjoint.parallel.status_exchange`) and so are the same everywhere when they are used; those of
reads are exchanged when ranks agree that a read has succeeded.

Only ratios matter, because the schedule's unit of time is its own planned step. The spacing of
states in the file follows the largest of all ranks' mean write times over the largest of their mean
step times: the mean, because slots absorb what varies between one write and the next. Steps that
were measured while writes were at work for a share ``b`` of the time, and that writes slow down by
a factor ``s``, would take ``1 - b + b / s`` of that without them. Steps before the first exchange
are not measured: just-in-time compilation and first touches of memory happen there. A transfer is
assumed to take the same amount of processor time however long it takes, because it moves the same
number of bytes.
"""

import time
from dataclasses import dataclass, replace

from adjoint.parallel.status_exchange import RankStatus
from adjoint.schedules.costs import Costs
from adjoint.storage.engines.transfer import Direction
from adjoint.storage.store import FileStore

__all__ = ["CostTracker", "slowdown_of"]

# How new measurements are weighted, and when the schedule is given other costs. All were chosen on
# throttled engines, whose bandwidth drops or varies, so that one slow moment changes nothing and a
# lasting change is followed within a few transfers.

DEAD_BAND = 0.15
"""Relative change of a cost below which the schedule is not given another one."""

MAX_CHANGE = 2.0
"""Largest factor by which a cost changes at once: one odd measurement cannot ruin a spacing."""

MEMORY_WRITES = 4
"""Number of writes whose mean weighs as much as the mean of all writes before them."""

MEMORY_READS = 16
"""The same for reads. More than for writes: a read that is posted too early does little harm."""

MEMORY_EXCHANGES = 3
"""Number of exchanges whose mean step time weighs as much as that of the next."""

BACKLOG_WEIGHT = 0.05
"""For each write that waits, writes count as this share slower, so that the backlog shrinks."""

MAX_BACKLOG_SHARE = 0.25
"""Largest share by which writes count as slower because of a backlog."""

MIN_SECONDS = 1e-12
"""Shorter times count as this one, so that all ratios are finite."""

MAX_LOST_SHARE = 0.9
"""Largest share of computing that a transfer at work is assumed to take from the computation: at 1
the slowdown would be infinite."""


def slowdown_of(lost_share: float) -> float:
    """Return how many times longer computing takes if it loses this share of the processor."""
    return 1 / (1 - min(MAX_LOST_SHARE, lost_share))


@dataclass(slots=True)
class _Mark:
    """What had been done when measuring began anew; times in seconds."""

    time: float
    steps: int
    wait_seconds: float
    write_seconds: float


class CostTracker:
    """Measures the steps and transfers of one sweep, and derives the costs a schedule should use.

    Parameters
    ----------
    store
        The store whose transfers are measured.
    costs
        What the schedule was planned on; None if it does not depend on costs.
    seconds_before
        Duration of the runs that this one resumes.
    """

    def __init__(self, store: FileStore, costs: Costs | None, seconds_before: float = 0.0) -> None:
        self.changes = 0
        """Number of times that the costs have changed."""
        self.costs = costs
        """The costs that the schedule uses now."""
        self._store = store
        self._began = time.perf_counter() - seconds_before
        self._has_begun = False
        self._busy = 0.0
        self._step_seconds = 0.0
        self._agreed_step_seconds = 0.0
        """Of all ranks, without the slowdown by writes. Decisions use this one only."""
        done = store.statistics
        self._writes = _RecentMean(done.writes_done, done.finished_write_seconds, MEMORY_WRITES)
        self._reads = _RecentMean(done.reads_done, done.finished_read_seconds, MEMORY_READS)
        self._of_pieces = {"write": store.moves_pieces, "read": store.moves_pieces}
        """Whether these are times of pieces of tapes, and not of states."""
        self._mark = _Mark(self._began, 0, done.wait_seconds, done.write_seconds)

    @property
    def elapsed(self) -> float:
        """Seconds since the run began, those of the runs that it resumes included."""
        return time.perf_counter() - self._began

    def measure(self, steps: int) -> RankStatus:
        """Return a status with what was measured up to now on this rank, and begin anew.

        `steps` were taken up to now, with repetitions.
        """
        self._measure_steps(steps)
        done = self._store.statistics
        return RankStatus(
            elapsed=self.elapsed,
            step_seconds=self._step_seconds,
            write_seconds=self._write_seconds(),
            busy=self._busy,
            # of pieces as many wait as there is memory for: that many are planned
            backlog=0 if self._of_pieces["write"] else done.writes_posted - done.writes_done,
        )

    def restart_clock(self) -> None:
        """Leave out of the step times whatever was done since the last call of `measure`."""
        done = self._store.statistics
        now = time.perf_counter()
        self._mark = _Mark(now, self._mark.steps, done.wait_seconds, done.write_seconds)

    def read_seconds(self) -> float:
        """Return the recent mean time of a read on this rank; 0 if there was none."""
        done = self._store.statistics
        if self._has_changed_kind("read"):
            self._reads = _RecentMean(done.reads_done, done.finished_read_seconds, MEMORY_READS)
        return self._reads.update(done.reads_done, done.finished_read_seconds)

    def change_write(self, status: RankStatus) -> Costs | None:
        """Return new costs if writes have become faster or slower, by the status of all ranks."""
        if self.costs is None or not status.step_seconds or not status.write_seconds:
            return None
        undisturbed = 1 - status.busy + status.busy / self.costs.slowdown
        self._agreed_step_seconds = status.step_seconds * undisturbed
        backlog = min(MAX_BACKLOG_SHARE, BACKLOG_WEIGHT * max(0.0, status.backlog - 1))
        factor = self._change("write", (1 + backlog) * status.write_seconds)
        if factor is None:
            return None
        slowdown = _same_processor_time(self.costs.slowdown, factor)
        return self._changed(replace(self._scaled("write", factor), slowdown=slowdown))

    def change_read(self, seconds: float) -> Costs | None:
        """Return new costs if reads have; `seconds` is the largest of all ranks' means."""
        if self.costs is None or not seconds or not self._agreed_step_seconds:
            return None
        factor = self._change("read", seconds)
        if factor is None:
            return None
        slowdown = _same_processor_time(self.costs.read_slowdown, factor)
        return self._changed(replace(self._scaled("read", factor), read_slowdown=slowdown))

    # -- inside ---------------------------------------------------------------------------------

    def _change(self, what: Direction, seconds: float) -> float | None:
        """Return the factor by which a cost should change to become `seconds`; None for none."""
        assert self.costs is not None
        step, before = self.costs.advance, getattr(self.costs, what)
        if self._of_pieces[what]:
            step, before = step + self.costs.record, getattr(self.costs, f"piece_{what}")
        now = step * seconds / self._agreed_step_seconds
        factor = min(MAX_CHANGE, max(1 / MAX_CHANGE, now / max(MIN_SECONDS, before)))
        return None if abs(factor - 1) < DEAD_BAND else factor

    def _scaled(self, what: Direction, factor: float) -> Costs:
        """Return the costs with those of states and of pieces of tapes changed by a factor."""
        assert self.costs is not None
        state, piece = getattr(self.costs, what), getattr(self.costs, f"piece_{what}")
        changed = {what: factor * max(MIN_SECONDS, state), f"piece_{what}": factor * piece}
        return replace(self.costs, **changed)

    def _has_changed_kind(self, what: Direction) -> bool:
        """Return whether pieces of tapes are moved now, and states before, or the reverse."""
        before, now = self._of_pieces[what], self._store.moves_pieces
        self._of_pieces[what] = now
        return before != now

    def _changed(self, costs: Costs) -> Costs:
        self.costs = costs
        self.changes += 1
        return costs

    def _measure_steps(self, taken: int) -> None:
        """Update the mean step time and the share of time in which writes were at work."""
        mark, done = self._mark, self._store.statistics
        steps = taken - mark.steps
        if steps and self._has_begun:
            waited = done.wait_seconds - mark.wait_seconds
            computing = max(MIN_SECONDS, time.perf_counter() - mark.time - waited)
            weight = 1 / (1 + MEMORY_EXCHANGES) if self._step_seconds else 1.0
            self._step_seconds += weight * (computing / steps - self._step_seconds)
            busy = min(1.0, (done.write_seconds - mark.write_seconds) / computing)
            self._busy += weight * (busy - self._busy)
        self._has_begun = True
        mark.steps = taken
        self.restart_clock()

    def _write_seconds(self) -> float:
        """Return the recent mean time of a write, or of the one under way if it is longer."""
        done = self._store.statistics
        kind = "piece_write" if self._store.moves_pieces else "write"
        if self._has_changed_kind("write"):
            self._writes = _RecentMean(done.writes_done, done.finished_write_seconds, MEMORY_WRITES)
        mean = self._writes.update(done.writes_done, done.finished_write_seconds)
        under_way = done.write_seconds - done.finished_write_seconds
        planned = 0.0 if self.costs is None else getattr(self.costs, kind)
        return under_way if under_way > max(mean, planned) else mean


def _same_processor_time(slowdown: float, factor: float) -> float:
    """Return the slowdown by a transfer that takes `factor` times as long for the same work."""
    return slowdown_of((1 - 1 / slowdown) / factor)


class _RecentMean:
    """The mean time of recent transfers, each counted once, when it has finished.

    Transfers before the first ones that are counted are left out: `count` of them had taken
    `seconds`.
    """

    def __init__(self, count: int, seconds: float, memory: int) -> None:
        self._memory = memory
        self._count = count
        self._seconds = seconds
        self._mean = 0.0

    def update(self, count: int, seconds: float) -> float:
        """Return the mean, now that `count` transfers have taken `seconds`; 0 if none is new."""
        new = count - self._count
        if new:
            weight = min(1.0, new / self._memory) if self._mean else 1.0
            self._mean += weight * ((seconds - self._seconds) / new - self._mean)
            self._count, self._seconds = count, seconds
        return self._mean
