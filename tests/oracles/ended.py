"""A schedule that does not know where the run ends, and a run that ends there: one that does."""

from adjoint.schedules.actions import Advance


class Ended:
    """Play a schedule without `num_steps` up to an end, as a driver does.

    Everything else is the schedule's own: `leaf_steps`, `file_states`, …; so is `num_slots`, unless
    a run up to this end takes another number, which then is given.
    """

    def __init__(self, schedule, num_steps, *, num_slots=None):
        assert schedule.num_steps is None
        self.schedule = schedule
        self.num_steps = num_steps
        self.num_slots = schedule.num_slots if num_slots is None else num_slots

    def __getattr__(self, name):
        return getattr(self.schedule, name)

    def __repr__(self):
        return f"Ended({self.schedule!r}, {self.num_steps}, num_slots={self.num_slots})"

    def __iter__(self):
        stream = iter(self.schedule)
        told = False
        for action in stream:
            if not told and type(action) is Advance:
                action = Advance(action.start, min(action.stop, self.num_steps))  # noqa: PLW2901
            yield action
            if not told and type(action) is Advance and action.stop == self.num_steps:
                stream.set_num_steps(self.num_steps)
                told = True
