"""A schedule for a run of unknown length, played to a given end: a schedule of known length."""

from adjoint.schedules.actions import Advance


class Ended:
    """Play a schedule without `num_steps` up to an end, as the driver does.

    All other members are the schedule's own. `num_slots` is given if a run up to this end takes
    another number of slots.
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
        announced = False
        for action in stream:
            if not announced and type(action) is Advance:
                action = Advance(action.start, min(action.stop, self.num_steps))  # noqa: PLW2901
            yield action
            if not announced and type(action) is Advance and action.stop == self.num_steps:
                stream.set_num_steps(self.num_steps)
                announced = True
