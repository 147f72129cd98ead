"""Spilling-stack Revolve: one stack of kept states, whose bottom spills into the file.

The asynchronous scheme of Kukreja, Hückelheim and Gorman (2018, arXiv:1806.01117) sends states to
the file while the computation goes on, as often as that delays nothing, and reverses the steps
between two of them by Revolve in memory. This schedule does the same without setting anything
aside: kept states form one stack, the top of it in slots and the bottom in the file, and every slot
serves for whatever is most urgent. What that is worth, and more of the theory, is in the
documentation (*Schedules*). In short, for `S` slots, a step of `u_f` and a write of `w`:

*Forward*, states go to the file at a mean distance of ``max(1, w / u_f)`` leaves, which need not be
a whole number: slots hold the difference. The last few states stay in memory, where Revolve would
have them. A slot is given up when it is needed and its state is written.

*Reverse*, the top of the stack is restored and what is right of it is reversed as Revolve would,
with all slots that are free or could be: a written state that is not needed for long gives up its
slot and is read again later, so that the start of a segment need not take one. A read is posted
just in time. If no slot is free by then, one is kept back for it.

With *kept tapes*, leaves are recorded ahead where their tapes fit, and pulled back one after the
other, as `TapeTable` finds best. A segment that fits the slots altogether is then taken once, not
twice: the largest saving of all.

All decisions come from a virtual clock, which goes by the costs that were given, never by when a
transfer really is done. So all ranks decide alike.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from operator import index

from adjoint.errors import ScheduleError
from adjoint.schedules.actions import Action
from adjoint.schedules.costs import Costs
from adjoint.schedules.mixed_table import TapeTable
from adjoint.schedules.protocol import (
    AdaptiveStream,
    ResumePoint,
    describe_members,
    num_leaves,
)
from adjoint.schedules.spilling.open_ended import OpenEndedStream
from adjoint.schedules.spilling.segments import LeafCosts
from adjoint.schedules.spilling.spacing import GRID, ForwardPlan, plan_keeps
from adjoint.schedules.spilling.stream import SpillingStream
from adjoint.schedules.spilling.timed_table import TimedTable

__all__ = ["Spilling"]

MOST_STEPS = 1e300
MOST_CHANGE = 2.0
"""How many times closer or wider one evaluation may make the spacing of the next."""

TABLES_SERVE = 1.04
"""Where the ratio of a write to a step has changed by less, tables need not be made anew."""

MOST_PATIENCE = 1e9
"""So patient, no state gives up its slot; without end, a read that takes no time has no meaning."""

TABLE_LEAVES = 512
"""Segments of up to this many leaves are looked up in tables; longer ones are split by Revolve."""


class Spilling:
    """Keep states in memory and, at intervals, in the file, without waiting for either.

    Parameters
    ----------
    num_steps
        Steps of the run, at least 1; None if that is known only once the last one was taken.
    num_slots
        Snapshots that fit in memory besides the live state, those being written or read included.
        At least 1, unless the run is a single leaf.
    interval
        The mean number of steps between two states in the file, at least `leaf_steps`. It need
        not be a whole number.
    costs
        What steps and transfers take: the virtual clock goes by it.
    leaf_steps
        Steps that are recorded and pulled back together.
    tail_slots
        The most states that stay in memory and are never written, those nearest to the end.
    tail_repeats
        How far apart these are: as Revolve would have them that takes no step more often.
    split
        Which of Revolve's best splits are taken: 0 the nearest, 1 the farthest, or between.
    patience
        A written state gives up its slot if it is not needed for so many times what reading it back
        takes; at least 1.
    foresight
        A slot is kept back for a read that will be due before this share is reversed of what is
        reversed next; 0 until it is due. It pays where tapes are kept.
    reread
        The share of what reading takes that a state which gives up its slot is reckoned to cost
        when it is decided where tapes are kept: between 0 and 1.
    tape_slots
        Slots that each tape takes that is kept while others are recorded; 0 to keep none.
    timed
        Whether the reverse sweep reckons with the slots that transfers hold, as `TimedTable` does.
        It pays where slots are few; then states are sent to the file in the reverse sweep, too.
    file_states
        The most states in the file at once; None for as many as there are. It must be given if
        `num_steps` is not: when the file is full, every other state is given up and the interval
        doubled.

    Raises
    ------
    ScheduleError
        Too few slots, more states than the file may hold, or a number that is out of its range.
    """

    def __init__(
        self,
        num_steps: int | None,
        num_slots: int,
        interval: float,
        *,
        costs: Costs,
        leaf_steps: int = 1,
        tail_slots: int = 0,
        tail_repeats: int = 1,
        split: float = 0.5,
        patience: float = 1.5,
        foresight: float = 0.0,
        reread: float = 0.1,
        tape_slots: int = 0,
        timed: bool = False,
        file_states: int | None = None,
    ) -> None:
        self.num_steps = None if num_steps is None else index(num_steps)
        self.num_slots = index(num_slots)
        self.leaf_steps = index(leaf_steps)
        self.interval = float(interval)
        self.costs = costs
        self.tail_slots = index(tail_slots)
        self.tail_repeats = index(tail_repeats)
        self.split = float(split)
        self.patience = float(patience)
        self.foresight = float(foresight)
        self.reread = float(reread)
        self.tape_slots = index(tape_slots)
        self.timed = bool(timed)
        self.capacity = None if file_states is None else index(file_states)
        self._check()
        self.num_tapes = 1 + (self.num_slots // self.tape_slots if self.tape_slots else 0)
        self.file_states = self._file_states()

    def __repr__(self) -> str:
        return (
            f"Spilling(num_steps={self.num_steps}, num_slots={self.num_slots}, "
            f"interval={self.interval!r}, costs={self.costs!r}, leaf_steps={self.leaf_steps}, "
            f"tail_slots={self.tail_slots}, tail_repeats={self.tail_repeats}, split={self.split}, "
            f"patience={self.patience}, foresight={self.foresight}, reread={self.reread}, "
            f"tape_slots={self.tape_slots}, timed={self.timed}, "
            f"file_states={self.capacity})"
        )

    def __str__(self) -> str:
        return describe_members(self, self.interval)

    def __iter__(self) -> Iterator[Action]:
        return OpenEndedStream(self) if self.num_steps is None else SpillingStream(self)

    def resume_from(self, situation: ResumePoint) -> AdaptiveStream:
        """Return the actions that are left of a run, from a situation on.

        Its states in the file may lie anywhere, as another schedule would have had them. Where the
        end of the run is not known, it cannot be being reversed.
        """
        if self.num_steps is None:
            return OpenEndedStream(self, situation)
        return SpillingStream(self, situation)

    def tuned(self, costs: Costs, pitch: int, room: int) -> "Spilling":
        """Return the schedule for other costs and another spacing, as far as the file has room."""
        leaves = 0 if self.num_steps is None else num_leaves(self.num_steps, self.leaf_steps)
        least = -(-leaves * GRID // max(1, room - 1 - self.num_slots))
        changed = Spilling(
            self.num_steps,
            self.num_slots,
            max(1.0, max(pitch, least) / GRID) * self.leaf_steps,
            costs=costs,
            leaf_steps=self.leaf_steps,
            tail_slots=self.tail_slots,
            tail_repeats=self.tail_repeats,
            split=self.split,
            patience=self.patience,
            foresight=self.foresight,
            reread=self.reread,
            tape_slots=self.tape_slots,
            timed=self.timed,
            file_states=self.capacity if self.num_steps is None else None,
        )
        return changed if changed.file_states <= room else self

    def recalibrated(self, costs: Costs, file_states: int, *, keep_ratios: bool) -> "Spilling":
        """Return the schedule for what an evaluation has measured, as far as the file has room.

        States are as far apart, in writes, as they were, but not closer where each of them takes
        more of the processor than a leaf does. With `keep_ratios` it is known better what
        transfers cost in the end, in steps: as this schedule has it.
        """
        told, leaf = self.costs, self.leaf_steps
        if not (told.advance and costs.advance):
            return self
        if keep_ratios:
            unit = costs.advance / told.advance
            return self.tuned(
                replace(costs, write=unit * told.write, read=unit * told.read),
                self.pitch,
                file_states,
            )
        longer = 1.0
        if told.write and costs.write:
            longer = costs.write / costs.advance * (told.advance / told.write)
        least = 1.0 if costs.disturbance > leaf * costs.advance else 1 / MOST_CHANGE
        longer = min(MOST_CHANGE, max(least, longer))
        found = self.tuned(costs, round(longer * self.pitch), file_states)
        if max(longer, 1 / longer) < TABLES_SERVE:
            for name in ("tapes", "timing"):
                if name in self.__dict__:
                    setattr(found, name, getattr(self, name))
        return found

    @property
    def pitch(self) -> int:
        """The interval in leaves, in units of ``1 / GRID``, rounded up."""
        return -(-int(self.interval * GRID) // self.leaf_steps)

    def keeps(self, num_leaves: int, pitch: int) -> ForwardPlan:
        """Return the states that the forward sweep keeps."""
        return plan_keeps(
            num_leaves,
            self.num_slots,
            pitch,
            tail_slots=self.tail_slots,
            tail_repeats=self.tail_repeats,
        )

    @cached_property
    def tapes(self) -> TapeTable | None:
        """Where tapes are kept; None if none is."""
        if self.tape_slots == 0:
            return None
        most = TABLE_LEAVES
        if self.num_steps is not None:
            most = min(most, num_leaves(self.num_steps, self.leaf_steps))
        pace = LeafCosts.of(self.costs, self.leaf_steps)
        return TapeTable(
            most,
            self.num_slots,
            tape_slots=self.tape_slots,
            unreached=pace.unreached,
            reread=pace.in_advances(self.reread * self.costs.read),
        )

    @cached_property
    def timing(self) -> TimedTable | None:
        """Where states and tapes are kept if it is reckoned with what transfers hold."""
        pace = LeafCosts.of(self.costs, self.leaf_steps)
        most = min(TABLE_LEAVES, 2 + -(-int(1.05 * self.interval) // self.leaf_steps))
        if self.num_steps is not None:
            most = min(most, num_leaves(self.num_steps, self.leaf_steps))
        if not self.timed or pace.advance == 0 or not self.costs.read or not self.costs.write:
            return None
        return TimedTable(
            most,
            self.num_slots,
            tape_slots=self.tape_slots,
            unreached=pace.unreached,
            pull_back=pace.in_advances(pace.pull_back),
            extra=pace.in_advances(pace.keep - pace.advance),
            read=pace.in_advances(self.costs.read),
            write=pace.in_advances(self.costs.write),
        )

    def _check(self) -> None:
        leaves = 2 if self.num_steps is None else num_leaves(self.num_steps, self.leaf_steps)
        num_leaves(1, self.leaf_steps)
        needed = min(1, leaves - 1)
        if self.num_slots < needed:
            raise ScheduleError(
                f"num_slots is {self.num_slots}: a state is written from a slot, so reversing "
                f"{leaves} leaves takes at least {needed}"
            )
        if not self.leaf_steps <= self.interval <= MOST_STEPS:
            raise ScheduleError(
                f"interval is {self.interval:g}: it must be at least the "
                f"{self.leaf_steps} steps of a leaf, and finite: at most {MOST_STEPS:g}"
            )
        ranges = {
            "tail_slots": (self.tail_slots, 0, self.num_slots),
            "tail_repeats": (self.tail_repeats, 0, 64),
            "split": (self.split, 0, 1),
            "patience": (self.patience, 1, MOST_PATIENCE),
            "foresight": (self.foresight, 0, 1),
            "reread": (self.reread, 0, 1),
            "tape_slots": (self.tape_slots, 0, max(1, self.num_slots)),
        }
        for name, (value, least, most) in ranges.items():
            if not least <= value <= most:
                raise ScheduleError(f"{name} is {value}: it must be between {least} and {most:g}")
        if self.capacity is not None and self.capacity < 0:
            raise ScheduleError(f"file_states is {self.capacity}: it must be 0 or more, or None")
        if self.num_steps is None and (self.capacity is None or self.capacity < 2):
            raise ScheduleError(
                f"file_states is {self.capacity}: for a run of unknown length it must be given, "
                "and at least 2"
            )

    def _file_states(self) -> int:
        if self.num_steps is None:
            assert self.capacity is not None
            return self.capacity
        leaves = num_leaves(self.num_steps, self.leaf_steps)
        keeps = self.keeps(leaves, self.pitch)
        # the state of the last leaf is recorded at once
        states = keeps.file_states - (keeps.tail[-1:] == ((leaves - 1, True),)) if leaves > 1 else 0
        if self.capacity is not None and states > self.capacity:
            least = self.num_steps / max(1, self.capacity - 1)
            instead = f"an interval of at least {least:g} steps" if self.capacity else "Revolve"
            raise ScheduleError(
                f"{states} states would go to the file, which may hold {self.capacity}: "
                f"take {instead}"
            )
        return states
