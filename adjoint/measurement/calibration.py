"""What an evaluation has really taken: the costs that the next one is predicted, and steered, by.

A probe runs a few steps over and over. A sweep finds its states where they were left, perhaps not
in the cache, beside transfers of its own. So the time of every action that computes is added up;
what remains, waiting taken off, is the driver's. Played by `replay` on these costs, the evaluation
takes what it has taken, as far as its waiting was what the virtual clock says.

Computing that went on beside transfers is slower by the factors of the probe: it is reckoned at
what it takes without them, as everywhere in the model.
"""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from adjoint.parallel import Communicator
from adjoint.schedules.actions import Action, Advance, PullBack, Record, Turn
from adjoint.schedules.costs import Costs
from adjoint.storage.engines.transfer import Statistics
from adjoint.sweep.observers import Observer

__all__ = ["Calibration", "agreed_costs"]


@dataclass(slots=True)
class _Taken:
    """What the actions of one kind took in one of the two sweeps."""

    seconds: float = 0.0
    actions: int = 0
    steps: int = 0


class Calibration(Observer):
    """Times the actions of one evaluation, on this rank.

    Parameters
    ----------
    statistics
        Returns those of the engine that moves the states.
    """

    def __init__(self, statistics: Callable[[], Statistics]) -> None:
        self._statistics = statistics
        self._began = time.perf_counter()
        self._marks = [statistics()]
        """At the start, and at the turn."""
        self._sweeps = [_no_actions(), _no_actions()]
        self._unreached = 0
        """Records whose last step was not taken."""

    def on_action(self, action: Action, began: float, ended: float) -> None:
        if type(action) is Turn:
            self._marks.append(self._statistics())
            return
        taken = self._sweeps[len(self._marks) - 1].get(type(action))
        if taken is None:
            return
        assert isinstance(action, Advance | Record | PullBack)
        taken.seconds += ended - began
        taken.actions += 1
        taken.steps += action.stop - action.start
        if isinstance(action, Record) and not action.reach_stop:
            self._unreached += 1

    def costs(self, planned: Costs) -> Costs:
        """Return what was measured up to now, in seconds; what was not met costs as planned.

        Setting out and advancing cost as many times as planned as all advances took. Storing,
        restoring and the turn are part of the driver overhead.
        """
        seconds, now = time.perf_counter() - self._began, self._statistics()
        shares = self._shares_kept(planned, now)
        leaves, recorded = self._total(Record)
        _, advanced = self._total(Advance)
        advances = advanced * self._per_step(Advance, shares)
        foreseen = advanced * planned.advance + leaves * planned.restart_overhead
        changed = advances / foreseen if advances and foreseen else 1.0
        advance, unreached = changed * planned.advance, changed * planned.unreached
        stepped = (recorded - self._unreached) * advance + self._unreached * unreached
        taping = recorded * self._per_step(Record, shares) - stepped
        left = seconds - self._waited_and_posted(now) - self._computed() + min(0.0, taping)
        return replace(
            planned,
            advance=advance,
            record=max(0.0, taping) / max(1, recorded),
            unreached=unreached,
            pull_back=self._per_step(PullBack, shares) or planned.pull_back,
            store=0.0,
            restore=0.0,
            restart_overhead=changed * planned.restart_overhead,
            turn=0.0,
            driver_overhead=max(0.0, left) / max(1, leaves),
            **_transfers(planned, self._marks[0], now),
        )

    # -- inside ---------------------------------------------------------------------------------

    def _per_step(self, kind: type[Action], shares: list[float]) -> float:
        """Return what a step takes without transfers beside it."""
        _, steps = self._total(kind)
        pairs = zip(shares, self._sweeps, strict=True)
        return sum(share * sweep[kind].seconds for share, sweep in pairs) / max(1, steps)

    def _total(self, kind: type[Action]) -> tuple[int, int]:
        taken = [sweep[kind] for sweep in self._sweeps]
        return sum(one.actions for one in taken), sum(one.steps for one in taken)

    def _computed(self) -> float:
        return sum(taken.seconds for sweep in self._sweeps for taken in sweep.values())

    def _waited_and_posted(self, now: Statistics) -> float:
        before = self._marks[0]
        waited = now.wait_seconds - before.wait_seconds
        return waited + now.post_seconds - before.post_seconds

    def _shares_kept(self, planned: Costs, now: Statistics) -> list[float]:
        """Return the share of computing that was not lost to transfers, in each of the sweeps."""
        marks = [*self._marks, now]
        return [
            _share_kept(sweep, planned, before, after)
            for sweep, before, after in zip(self._sweeps, marks[:-1], marks[1:], strict=True)
        ]


def _no_actions() -> dict[type[Action], _Taken]:
    return {kind: _Taken() for kind in (Advance, Record, PullBack)}


def _share_kept(
    sweep: dict[type[Action], _Taken], planned: Costs, before: Statistics, after: Statistics
) -> float:
    computed = sum(taken.seconds for taken in sweep.values())
    writing = after.write_seconds - before.write_seconds
    reading = after.read_seconds - before.read_seconds
    waited = after.wait_seconds - before.wait_seconds
    if computed <= 0 or writing + reading <= 0:
        return 1.0
    hidden = max(0.0, 1 - waited / (writing + reading))
    lost = (1 - 1 / planned.slowdown) * writing + (1 - 1 / planned.read_slowdown) * reading
    return max(1 / max(planned.slowdown, planned.read_slowdown), 1 - hidden * lost / computed)


def _transfers(planned: Costs, before: Statistics, now: Statistics) -> dict[str, float]:
    """Return what a transfer took, and what posting one did."""
    writes, reads = now.writes_done - before.writes_done, now.reads_done - before.reads_done
    writing = now.finished_write_seconds - before.finished_write_seconds
    reading = now.finished_read_seconds - before.finished_read_seconds
    posting = now.post_seconds - before.post_seconds
    return {
        "write": writing / writes if writes else planned.write,
        "read": reading / reads if reads else planned.read,
        "post": posting / (writes + reads) if writes + reads else planned.post,
    }


def agreed_costs(costs: Costs, comm: Communicator) -> Costs:
    """Return each cost of the rank where it is largest: the slowest sets the pace. Collective."""
    fields = [field.name for field in dataclasses.fields(Costs)]
    ranks = comm.gather([getattr(costs, name) for name in fields])
    return Costs(
        **{name: max(values) for name, values in zip(fields, zip(*ranks, strict=True), strict=True)}
    )
