"""Tapes in the file: each leaf is recorded once, its tape written while others are recorded.

A stepper whose tape is more than the states before its steps must take a leaf again to pull it
back, wherever its states are kept: a step costs two advances at least. If the file takes tapes as
quickly as they are recorded, it costs one. So implicit steps, which take long for what is on their
tape, and recurrent networks save a quarter to a third of a gradient's time.

*Forward*, each leaf is recorded, and its tape written in the background. As many tapes are under
way as fit in memory; the last ones stay there. Few states go to the file besides.

*Reverse*, tapes are read ahead, as many as fit, and pulled back.

*A gap* is what has no tape: leaves whose tape was lost. They are taken again from the last state
before them, and reversed in memory by `Spilling`. So is the rest of the run, its forward sweep
included, if the file turns out to be too slow for tapes, or too small.

What is done depends on costs in nothing but that; so there is no virtual clock here.
"""

from adjoint.schedules.protocol import AdaptiveStream, ResumePoint
from adjoint.schedules.tapes_in_file.parameters import TapeParameters
from adjoint.schedules.tapes_in_file.stream import TapeStream

__all__ = ["TapesInFile"]


class TapesInFile(TapeParameters):
    """Keep the tapes of all leaves: the last in memory, the others in the file.

    A frozen dataclass: `dataclasses.replace` makes the schedule for another length or other costs.

    Parameters
    ----------
    num_steps
        Steps of the run, at least 1.
    num_slots
        Slots in memory besides the live state and the tape of one leaf, those of what is being
        written or read included: at least one tape and one state.
    tape_slots
        Slots that the tape of a leaf takes while others are recorded or pulled back, at least 1.
    costs
        Costs of steps and transfers.
    tape_pieces
        Pieces of a tape, which is recorded up to the end of its leaf; each is a row of the file.
    leaf_steps
        Steps that are recorded and pulled back together.

    Raises
    ------
    ScheduleError
        Too few slots, or a number that is out of its range.
    """

    def __iter__(self) -> AdaptiveStream:
        return TapeStream(self)

    def resume_from(self, point: ResumePoint) -> AdaptiveStream:
        """Return the actions that are left of a run, from any point of it on.

        Raises
        ------
        ScheduleError
            More states are in slots than there are slots, or the initial state is not kept while
            others are.
        """
        has_tapes = bool(point.tapes)
        begins = point.reversed_to is None and point.live != self.num_steps
        if has_tapes or (begins and not point.in_memory):
            return TapeStream(self, point)
        return self.of_states().resume_from(point)
