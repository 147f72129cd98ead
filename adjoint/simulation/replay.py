"""A simulated machine: plays any stream of actions, says whether it is right, and prices it.

The machine (`adjoint.simulation.machine`) has one live state, slots, tapes, a file, and the
processor and the channel of a `VirtualClock`. The processor stands still in `Wait`, in a `Restore`
straight from the file, and where an action takes a slot that was given up while its write was under
way and the limit
on slots leaves no other.

Every action is checked against what the machine holds at that moment. A transfer counts as done
once the stream has waited for it, not by the clock: a stream is right or wrong whatever the
costs are. The first wrong action is named. It takes
memory for the snapshots that are alive, and about 2 µs an action.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from adjoint.errors import ScheduleError
from adjoint.schedules import stream_of
from adjoint.schedules.actions import Action, Advance
from adjoint.schedules.costs import Costs
from adjoint.simulation.machine import Limits, Machine, WrongActionError

__all__ = ["Costs", "Price", "price"]


@dataclass(frozen=True, slots=True)
class Price:
    """What a stream of actions came to."""

    num_steps: int
    """Steps reversed: all of them, each once."""
    actions: int
    advances: int
    """Steps that `Advance` actions took."""
    leaf_advances: int
    """Steps that `Record` actions took: all but the last of each leaf, and that if need be."""
    peak_slots: int
    """The most snapshots in memory at once, those being written or read included."""
    peak_tapes: int
    """The most tapes alive at once, that of the leaf being reversed included."""
    peak_units: int
    """The most slots in use at once, each tape but one counted as the slots it takes."""
    peak_tier_states: tuple[int, ...]
    """The most snapshots at once in the file, and in each tier below it, those being written
    included."""
    writes: int
    """States written to the file, or to a tier below it."""
    reads: int
    """States read from there."""
    makespan: float
    """Time from the first action to the end of the last; in the unit of the costs."""
    stall: float
    """Of it, time in which the processor waited for the channel."""

    @property
    def peak_file_states(self) -> int:
        """The most snapshots in the file at once, those being written included."""
        return self.peak_tier_states[0]

    def moved_bytes(self, state_bytes: int) -> int:
        """Return the bytes written and read, given those of one state."""
        return (self.writes + self.reads) * state_bytes


def price(
    actions: Iterable[Action],
    costs: Costs | None = None,
    *,
    num_steps: int | None = None,
    num_slots: int | None = None,
    file_states: int | Sequence[int] | None = None,
    tape_slots: int = 0,
) -> Price:
    """Play the actions; return what they cost, or raise at the first that is wrong.

    Parameters
    ----------
    actions
        A schedule, or any other stream. Read once, lazily. A stream that awaits the number of
        steps (`AdaptiveStream.awaits_num_steps`) is told when the live state is at `num_steps`.
    costs
        By default those of ``Costs()``: a step costs 1 each way, and nothing else costs anything.
    num_steps
        How many steps there must be. By default as many as were taken at the `Turn`.
    num_slots, file_states
        How many snapshots fit in memory and in the file, or in the file and each tier below it. By
        default any number.
    tape_slots
        How many slots a tape takes, beside the one tape there is always room for.

    Raises
    ------
    ScheduleError
        The actions are not a correct reversal: the message names the index of the first wrong
        action, the action, and what is wrong.
    """
    if file_states is None:
        file_states = ()
    elif not isinstance(file_states, Sequence):
        file_states = (file_states,)
    limits = Limits(num_steps, num_slots, tuple(file_states), tape_slots)
    machine = Machine(costs or Costs(), limits)
    stream = stream_of(actions)
    is_open = stream.awaits_num_steps
    if is_open and num_steps is None:
        raise ScheduleError("the schedule does not know how many steps there are: give num_steps")
    count, action = 0, next(stream, None)
    try:
        while action is not None:
            if is_open and type(action) is Advance:
                action = _no_further_than(action, num_steps)
            machine.play(action)
            count += 1
            if is_open and num_steps is not None and machine.live == num_steps:
                is_open = False
                stream.set_num_steps(num_steps)
            action = next(stream, None)
        machine.finish()
    except WrongActionError as wrong:
        what = "the end of the actions" if action is None else action
        raise ScheduleError(f"action {count}, {what}: {wrong}") from None
    assert machine.num_steps is not None, "there was a Turn"
    return Price(
        num_steps=machine.num_steps,
        actions=count,
        advances=machine.advances,
        leaf_advances=machine.leaf_advances,
        peak_slots=machine.peak_slots,
        peak_tapes=machine.peak_tapes,
        peak_units=machine.peak_units,
        peak_tier_states=tuple(machine.peak_tier_states),
        writes=machine.writes,
        reads=machine.reads,
        makespan=machine.clock.now,
        stall=machine.clock.stall,
    )


def _no_further_than(action: Advance, num_steps: int | None) -> Action:
    assert num_steps is not None
    return Advance(action.start, min(action.stop, num_steps))
