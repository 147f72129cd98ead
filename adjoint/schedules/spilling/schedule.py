"""Spilling-stack Revolve: one stack of kept states, whose bottom spills into the file.

The asynchronous scheme of Kukreja, Hückelheim and Gorman (2018, arXiv:1806.01117) sends states to
the file while the computation goes on, as often as that delays nothing, and reverses the steps
between two of them by Revolve in memory. This schedule does the same without setting anything
aside: kept states form one stack, the top of it in slots and the bottom in the file, and every slot
serves for whatever is most urgent. What that is worth, and more of the theory, is in the
documentation (*Schedules*). In short, for a step of `u_f` and a write of `w`:

*Forward*, states go to the file at a mean distance of ``max(1, w / u_f)`` leaves, which need not be
a whole number: slots hold the difference. The last few states stay in memory, where Revolve would
have them. A state is evicted when its slot is needed and it is written.

*Reverse*, the top of the stack is restored and what is right of it is reversed as Revolve would,
with all slots that are free or could be: a written state that is not needed for long is evicted and
read again later, so that the start of a segment need not take a slot. A read is posted just in
time. If no slot is free by then, one is reserved for it.

With *kept tapes*, leaves are recorded ahead where their tapes fit, and pulled back one after the
other, as `TapeTable` finds best. A segment that fits the slots altogether is then taken once, not
twice: the largest saving of all.

All decisions come from a virtual clock, which uses the costs that were given, never the time at
which a transfer really ends. So all ranks decide alike.
"""

from adjoint.schedules.protocol import AdaptiveStream, ResumePoint, describe_members
from adjoint.schedules.spilling.open_ended import OpenEndedStream
from adjoint.schedules.spilling.parameters import SpillingParameters
from adjoint.schedules.spilling.stream import SpillingStream

__all__ = ["Spilling"]


class Spilling(SpillingParameters):
    """Keep states in memory and, at intervals, in the file, without waiting for either.

    A frozen dataclass: `dataclasses.replace` makes the schedule for another length or other costs.

    Parameters
    ----------
    num_steps
        Steps of the run, at least 1; None if that is known only once the last one was taken.
    num_slots
        Snapshots that fit in memory besides the live state, those being written or read included.
        At least 1, unless the run is a single leaf.
    interval
        Mean number of steps between two states in the file, at least `leaf_steps`. It need not be a
        whole number.
    costs
        Costs of steps and transfers, for the virtual clock.
    leaf_steps
        Steps that are recorded and pulled back together.
    tail_slots
        The most states that stay in memory and are never written: those nearest to the end.
    tail_repeats
        Their distances are those of a Revolve that takes no step more often than this.
    tape_slots
        Slots that each tape takes that is kept while others are recorded; 0 to keep none.
    max_file_states
        States that the file may hold at once; None for as many as the interval asks for. It must be
        given if `num_steps` is not: when the file is full, every other state is discarded and the
        interval doubled.

    Raises
    ------
    ScheduleError
        Too few slots, more states than the file may hold, or a number that is out of its range.
    """

    def __str__(self) -> str:
        return describe_members(self, self.interval)

    def __iter__(self) -> AdaptiveStream:
        return OpenEndedStream(self) if self.num_steps is None else SpillingStream(self)

    def resume_from(self, point: ResumePoint) -> AdaptiveStream:
        """Return the actions that are left of a run, from any point of it on.

        The states that are kept may lie anywhere, as another schedule would have had them. Those in
        slots stay there. Where the end of the run is not known, the run cannot be in its reverse
        sweep.

        Raises
        ------
        ScheduleError
            More states are in slots than there are slots, or the initial state is not kept while
            others are.
        """
        if self.num_steps is None:
            return OpenEndedStream(self, point)
        return SpillingStream(self, point)
