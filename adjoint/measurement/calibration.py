"""The costs that an evaluation really had, by which the next one is predicted and planned.

A probe repeats a few steps. A sweep finds its states where they were left, perhaps not in the
cache, and transfers of its own go on beside it. So the times of all actions that compute are summed
up; the rest of the evaluation, without waiting, is the driver's overhead. Played by
`adjoint.replay` on these costs, the evaluation takes as long as it took, as far as its waits were
those of the virtual clock.

Computing beside transfers is slower by the factors that the probe has measured: its cost is what it
would have been without them, as everywhere in the model.
"""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from adjoint.parallel import Communicator
from adjoint.schedules.actions import Action, Advance, OffloadTape, PullBack, Record, Turn
from adjoint.schedules.costs import Costs
from adjoint.storage.engines.transfer import Statistics
from adjoint.sweep.observers import Observer

__all__ = ["Calibration", "agreed_costs"]


@dataclass(slots=True)
class _Total:
    """What the actions of one type took in one of the two sweeps."""

    seconds: float = 0.0
    actions: int = 0
    steps: int = 0


class Calibration(Observer):
    """Times the actions of one evaluation, on this rank.

    Parameters
    ----------
    statistics
        Returns those of the engine that moves the states.
    touch_seconds
        Returns what touching memory for the first time has taken so far, which does not count.
    """

    def __init__(
        self,
        statistics: Callable[[], Statistics],
        touch_seconds: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._statistics = statistics
        self._touch_seconds = touch_seconds
        self._touched_before = self._touched = touch_seconds()
        self._began = time.perf_counter()
        self._marks = [statistics()]
        """At the start, and at the turn."""
        self._sweeps = [_totals(), _totals()]
        """Of the forward and of the reverse sweep."""
        self._current = self._sweeps[0]
        self._moves_pieces = False
        """Whether most transfers are of pieces of tapes."""
        self._unreached = 0
        """Records whose last step was not taken: those of leaves that are pulled back at once."""

    def on_action(self, action: Any, began: float, ended: float) -> None:
        """Add an action to the total of its type. Called for each action: it must be quick."""
        kind = type(action)
        total = self._current.get(kind)
        touched, self._touched = self._touched, self._touch_seconds()
        if total is not None:
            total.seconds += ended - began - (self._touched - touched)
            total.actions += 1
            total.steps += action.stop - action.start
            if kind is Record and not action.reach_stop:
                self._unreached += 1
        elif kind is OffloadTape:
            self._moves_pieces = True
        elif kind is Turn:
            self._marks.append(self._statistics())
            self._current = self._sweeps[1]

    def costs(self, planned: Costs) -> Costs:
        """Return the costs measured up to now, in seconds; those of no action are as planned.

        Advancing and starting from a restored state cost as many times as planned as all advances
        took. Storing, restoring and the turn are part of the driver's overhead.
        """
        seconds, now = time.perf_counter() - self._began, self._statistics()
        seconds -= self._touch_seconds() - self._touched_before
        shares = self._shares_kept(planned, now)
        leaves, recorded = self._total(Record)
        _, advanced = self._total(Advance)
        advances = advanced * self._per_step(Advance, shares)
        expected = advanced * planned.advance + self._unreached * planned.restart_overhead
        factor = advances / expected if advances and expected else 1.0
        advance, unreached = factor * planned.advance, factor * planned.unreached
        stepped = (recorded - self._unreached) * advance + self._unreached * unreached
        taping = recorded * self._per_step(Record, shares) - stepped
        pulling_back = self._per_step(PullBack, shares) + min(0.0, taping) / max(1, recorded)
        rest = seconds - self._waited_and_posted(now) - self._computed()
        return replace(
            planned,
            advance=advance,
            record=max(0.0, taping) / max(1, recorded),
            unreached=unreached,
            pull_back=max(0.0, pulling_back) or planned.pull_back,
            store=0.0,
            restore=0.0,
            restart_overhead=factor * planned.restart_overhead,
            turn=0.0,
            driver_overhead=max(0.0, rest) / max(1, leaves),
            **_transfers(planned, self._marks[0], now, of_pieces=self._moves_pieces),
        )

    # -- inside ---------------------------------------------------------------------------------

    def _per_step(self, kind: type[Action], shares: list[float]) -> float:
        """Return the time of a step without transfers beside it."""
        _, steps = self._total(kind)
        pairs = zip(shares, self._sweeps, strict=True)
        return sum(share * sweep[kind].seconds for share, sweep in pairs) / max(1, steps)

    def _total(self, kind: type[Action]) -> tuple[int, int]:
        """Return the actions of a type in both sweeps, and their steps."""
        totals = [sweep[kind] for sweep in self._sweeps]
        return sum(total.actions for total in totals), sum(total.steps for total in totals)

    def _computed(self) -> float:
        return sum(total.seconds for sweep in self._sweeps for total in sweep.values())

    def _waited_and_posted(self, now: Statistics) -> float:
        before = self._marks[0]
        waited = now.wait_seconds - before.wait_seconds
        return waited + now.post_seconds - before.post_seconds

    def _shares_kept(self, planned: Costs, now: Statistics) -> list[float]:
        """Return the share of computing that transfers did not take, in each of the sweeps."""
        marks = [*self._marks, now]
        return [
            _share_kept(sweep, planned, before, after)
            for sweep, before, after in zip(self._sweeps, marks[:-1], marks[1:], strict=True)
        ]


def _totals() -> dict[type[Action], _Total]:
    return {kind: _Total() for kind in (Advance, Record, PullBack)}


def _share_kept(
    sweep: dict[type[Action], _Total], planned: Costs, before: Statistics, after: Statistics
) -> float:
    """Return the share of one sweep's computing that transfers did not take."""
    computed = sum(total.seconds for total in sweep.values())
    writing = after.write_seconds - before.write_seconds
    reading = after.read_seconds - before.read_seconds
    waited = after.wait_seconds - before.wait_seconds
    if computed <= 0 or writing + reading <= 0:
        return 1.0
    hidden = max(0.0, 1 - waited / (writing + reading))
    lost = (1 - 1 / planned.slowdown) * writing + (1 - 1 / planned.read_slowdown) * reading
    return max(1 / max(planned.slowdown, planned.read_slowdown), 1 - hidden * lost / computed)


def _transfers(
    planned: Costs, before: Statistics, now: Statistics, *, of_pieces: bool
) -> dict[str, float]:
    """Return the mean times of a write, of a read and of posting one, as costs.

    If nearly all are `of_pieces` of tapes, those of states have changed as much as theirs.
    """
    writes, reads = now.writes_done - before.writes_done, now.reads_done - before.reads_done
    writing = now.finished_write_seconds - before.finished_write_seconds
    reading = now.finished_read_seconds - before.finished_read_seconds
    posting = now.post_seconds - before.post_seconds
    found = {"post": posting / (writes + reads) if writes + reads else planned.post}
    for name, seconds, count in (("write", writing, writes), ("read", reading, reads)):
        state, piece = getattr(planned, name), getattr(planned, f"piece_{name}")
        mean = seconds / count if count else piece if of_pieces else state
        if of_pieces:
            found[f"piece_{name}"] = mean
            found[name] = state * mean / piece if piece else state
        else:
            found[name] = mean
            found[f"piece_{name}"] = piece * mean / state if state else piece
    return found


def agreed_costs(costs: Costs, comm: Communicator) -> Costs:
    """Return each cost of the rank where it is largest: the others wait for it. Collective."""
    fields = [field.name for field in dataclasses.fields(Costs)]
    ranks = comm.gather([getattr(costs, name) for name in fields])
    return Costs(
        **{name: max(values) for name, values in zip(fields, zip(*ranks, strict=True), strict=True)}
    )
