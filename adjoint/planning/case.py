"""A run in leaves of one size: what each of its schedules takes, and the best one of each kind.

In memory there is one formula. Let a run have `C` leaves of `L` steps, `S` slots for states and
tapes of which a tape takes `t`, and let recording a leaf whose end is not needed take `k` of the
time to advance over it. Then both sweeps take::

    T = u L F(C, S, t, k) + n (rho + p) + C d + (C - K) c

with `u` a step, `rho` and `p` what recording and pulling back one takes, `d` and `c` what the
driver and setting out from a kept state take for a leaf, `K` the tapes that are kept, and `F` the
forward steps of `Mixed` in leaves. It is Revolve where no tape fits, and keeping everything where
all fit.
"""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from adjoint.schedules import DiskRevolve, Mixed, Revolve, Schedule, StoreAll, num_leaves
from adjoint.schedules.costs import Costs
from adjoint.schedules.mixed import mixed_steps
from adjoint.schedules.mixed_closed_form import most_leaves
from adjoint.schedules.spilling.segments import LeafCosts

__all__ = ["Candidate", "Case"]

MIN_UNREACHED = 0.1
"""Share of an advance that recording a leaf must take, if its end is not needed, for tapes to be
kept: otherwise a tape saves nothing that a state would not."""

MAX_SPLITS = 20_000
"""Slots times tapes from which on the splits of a run, in which leaves are advanced over more than
once, take longer to be counted than 50 milliseconds."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A schedule, and what it is predicted to take."""

    schedule: Schedule
    seconds: float
    reason: str
    is_adaptive: bool = False
    """Whether its stream adapts to what transfers turn out to cost."""


@dataclass(frozen=True)
class Case:
    """A run in leaves of one size, what they cost, and what may be used."""

    num_steps: int
    leaf_steps: int
    num_slots: int
    file_states: int
    """Snapshots that the file may hold."""
    tape_slots: int
    """Slots that a kept tape takes; 0 if none is to be kept."""
    costs: Costs

    @cached_property
    def num_leaves(self) -> int:
        """Leaves of the run."""
        return num_leaves(self.num_steps, self.leaf_steps)

    @cached_property
    def leaf(self) -> LeafCosts:
        """Costs of whole leaves."""
        return LeafCosts.of(self.costs, self.leaf_steps)

    @property
    def keeps_tapes(self) -> bool:
        """Whether a kept tape can save anything, and fits."""
        saves = self.leaf.unreached > MIN_UNREACHED and self.num_leaves > 1
        return saves and 0 < self.tape_slots <= self.num_slots

    @property
    def kept_tapes(self) -> int:
        """The most tapes alive at once, that of the leaf being reversed included."""
        held = 1 + self.num_slots // self.tape_slots if self.keeps_tapes else 1
        return min(self.num_leaves, held)

    @property
    def blocks(self) -> int:
        """The memory that is used, in slots, with the tape of the leaf being reversed."""
        each = self.tape_slots if self.keeps_tapes else 1
        return min(self.num_slots, each * (self.num_leaves - 1)) + self.tape_slots

    @property
    def retakes(self) -> bool:
        """Whether steps are taken again, though the tape of a step were the state before it."""
        every_tape = self.kept_tapes == self.num_leaves
        every_state = self.num_slots >= self.num_leaves - 1 and self.leaf_steps == 1
        return not (every_tape or every_state)

    @property
    def family(self) -> type[Schedule]:
        """The plainest class of schedules in memory that plays the actions of the best one."""
        if self.keeps_tapes:
            return Mixed
        return StoreAll if self.num_slots >= self.num_leaves - 1 else Revolve

    @property
    def has_room_for_file(self) -> bool:
        """Whether a schedule could use the file."""
        has_time = self.costs.advance > 0
        return has_time and self.file_states > 0 and self.num_slots > 0 and self.num_leaves > 1

    def without_tapes(self) -> "Case":
        """Return the same case, in which no tape is kept."""
        return replace(self, tape_slots=0)

    @cached_property
    def seconds(self) -> float:
        """What the best schedule in memory takes: that which `adjoint.replay` has for it.

        Exact to rounding where a leaf takes no time of its own, `c` and `d`, and none to be copied.
        Of the longest runs in thousands of slots it is `least_seconds`.
        """
        return self._seconds(self._forward_leaves, self.kept_tapes)

    @cached_property
    def least_seconds(self) -> float:
        """A lower bound of `seconds`, in closed form: few per cent less, and equal without tapes.

        The fewest steps are concave in `k`, and known for 0 and 1.
        """
        return self._seconds(self._least_forward_leaves, self.kept_tapes)

    def in_memory(self) -> Candidate:
        """Return the best schedule without a file."""
        n, leaf, slots, family = self.num_steps, self.leaf_steps, self.num_slots, self.family
        schedule: Schedule
        if family is StoreAll:
            schedule = StoreAll(n, leaf_steps=leaf)
            kept = "state" if leaf == 1 else "leaf's start"
            reason = "the tape of all steps fits in memory"
            if self.num_leaves > 1:
                reason = f"every {kept} fits in memory"
        elif family is Revolve:
            schedule = Revolve(n, slots, leaf_steps=leaf)
            advances = (self._fewest_leaves(0) - 1) * leaf / n
            reason = f"{advances:.2f} advances a step with {slots} slots and leaves of {leaf}"
        else:
            k = self.leaf.unreached
            schedule = Mixed(n, slots, self.tape_slots, leaf_steps=leaf, unreached=k)
            taken = self._forward_leaves * leaf / n
            where = "" if self.kept_tapes == self.num_leaves else " where they fit"
            reason = f"tapes are kept{where}: {taken:.2f} steps taken for each step"
        return Candidate(schedule, self.seconds, reason)

    def waiting_for_file(self) -> Candidate:
        """Return the schedule that waits for every transfer, if there `has_room_for_file`."""
        room, costs = self.file_states, self.costs
        disk = DiskRevolve(
            self.num_steps,
            self.num_slots,
            write=(costs.write + costs.post) / self.leaf.advance,
            read=(costs.read + costs.post) / self.leaf.advance,
            leaf_steps=self.leaf_steps,
            max_file_states=None if room >= self.num_steps else room,
        )
        return Candidate(disk, self.disk_seconds(disk), "the computation waits for every transfer")

    def disk_seconds(self, schedule: DiskRevolve) -> float:
        """Return what a schedule that waits for every transfer takes."""
        tally, costs = schedule.tally, self.costs
        moving = tally.writes * (costs.write + costs.post) + tally.reads * (costs.read + costs.post)
        # each leaf but the last is recorded up to its last step besides
        recorded = 1 + (self.num_leaves - 1) * self.leaf.unreached
        return moving + self._seconds(tally.advances / self.leaf_steps + recorded, kept_tapes=1)

    @cached_property
    def _forward_leaves(self) -> float:
        """Forward leaves of the best schedule in memory, those recorded included."""
        if self.keeps_tapes and self.num_slots**2 > MAX_SPLITS * self.tape_slots:
            once = most_leaves(self.num_slots, 1, self.tape_slots)
            if self.num_leaves > once:
                return self._least_forward_leaves
        return self._fewest_leaves(self.leaf.unreached)

    @cached_property
    def _least_forward_leaves(self) -> float:
        k = self.leaf.unreached
        if not self.keeps_tapes:
            return self._forward_leaves
        return (1 - k) * self._fewest_leaves(0) + k * self._fewest_leaves(1)

    def _fewest_leaves(self, unreached: float) -> float:
        tape = self.tape_slots if self.keeps_tapes else self.num_slots + 1
        return _mixed_leaves(self.num_steps, self.num_slots, tape, self.leaf_steps, unreached)

    def _seconds(self, forward_leaves: float, kept_tapes: int) -> float:
        """Return what both sweeps take with so many forward leaves, those recorded included."""
        n, leaves, costs = self.num_steps, self.num_leaves, self.costs
        beyond_end = leaves * self.leaf_steps - n
        seconds = (forward_leaves * self.leaf_steps - beyond_end) * costs.advance
        seconds += n * (costs.record + costs.pull_back) + costs.turn
        seconds += leaves * (costs.driver_overhead + costs.store + costs.restore)
        return seconds + (leaves - kept_tapes) * costs.restart_overhead


@lru_cache(maxsize=256)
def _mixed_leaves(steps: int, slots: int, tape: int, leaf: int, unreached: float) -> float:
    """Return `mixed_steps`: the same plan is priced several times."""
    return mixed_steps(steps, slots, tape, leaf_steps=leaf, unreached=unreached)
