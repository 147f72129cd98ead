"""Play any stream of actions on a simulated machine, check that it is correct, and price it.

The machine (`adjoint.simulation.machine`) has one live state, slots, tapes, a file, and the
processor and channel of a `VirtualClock`. The processor waits in `Wait`, in a `Restore` straight
from the file, and if an action takes a slot and the only ones left are discarded slots that are
still being written from.

Every action is checked against the contents of the machine at that moment. A transfer counts as
done once the stream has waited for it, whatever the clock says: so whether a stream is correct does
not depend on the costs. The error names the first wrong action. Playing takes memory for the
snapshots alive, and about 1.3 µs an action.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from adjoint.errors import ScheduleError
from adjoint.schedules import stream_of
from adjoint.schedules.actions import Action, Advance
from adjoint.schedules.costs import Costs
from adjoint.simulation.machine import Limits, Machine, WrongActionError

__all__ = ["Costs", "Price", "price"]


@dataclass(frozen=True, slots=True)
class Price:
    """What playing a stream of actions takes."""

    num_steps: int
    """Steps reversed: all steps of the run, each once."""
    actions: int
    """Number of actions."""
    advances: int
    """Steps that `Advance` actions took."""
    leaf_advances: int
    """Steps that `Record` actions took. The last step of a leaf counts only if it was taken."""
    peak_slots: int
    """The most snapshots in memory at once, including those being written or read."""
    peak_tapes: int
    """The most tapes alive at once, including that of the leaf being reversed."""
    peak_units: int
    """The most slots in use at once, including `tape_slots` for every tape beyond the first."""
    peak_file_states: int
    """The most snapshots in the file at once, including those being written."""
    writes: int
    """States written to the file."""
    reads: int
    """States read from the file."""
    peak_file_tapes: int
    """The most tapes in the file at once, including those being written."""
    tapes_written: int
    """Tapes written to the file."""
    tapes_read: int
    """Tapes read from the file."""
    makespan: float
    """Time from the first action to the end of the last, in the unit of the costs."""
    stall: float
    """The part of it for which the processor waited for the channel."""


def price(
    actions: Iterable[Action],
    costs: Costs | None = None,
    *,
    num_steps: int | None = None,
    num_slots: int | None = None,
    file_states: int | None = None,
    tape_slots: int = 0,
    tape_pieces: int = 1,
) -> Price:
    """Play the actions; return what they take, or raise at the first that is wrong.

    Parameters
    ----------
    actions
        A schedule, or any other iterable of actions. Read once, lazily. `num_steps` is announced to
        a stream that awaits it (`AdaptiveStream`) once the live state is there.
    costs
        By default ``Costs()``: a step costs 1 each way, and everything else is free.
    num_steps
        Steps of the run. By default the steps taken before the `Turn`.
    num_slots, file_states
        The most snapshots that fit in memory and in the file. By default any number.
    tape_slots
        Slots that each tape beyond the first takes.
    tape_pieces
        Transfers that a tape takes on its way to the file, and on its way back.

    Raises
    ------
    ScheduleError
        The actions are not a correct reversal: the message has the index of the first wrong action,
        the action, and what is wrong.
    """
    limits = Limits(num_steps, num_slots, file_states, tape_slots, tape_pieces)
    machine = Machine(costs or Costs(), limits)
    stream = stream_of(actions)
    is_open = stream.awaits_num_steps
    if is_open and num_steps is None:
        raise ScheduleError("the schedule does not know the number of steps: give num_steps")
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
        peak_file_states=machine.peak_file_states,
        writes=machine.writes,
        reads=machine.reads,
        peak_file_tapes=machine.peak_file_tapes,
        tapes_written=machine.tapes_written,
        tapes_read=machine.tapes_read,
        makespan=machine.clock.now,
        stall=machine.clock.stall,
    )


def _no_further_than(action: Advance, num_steps: int | None) -> Action:
    assert num_steps is not None
    return Advance(action.start, min(action.stop, num_steps))
