"""A machine whose costs change while it runs, and a schedule that is told so, or is not."""

from adjoint.schedules import stream_of
from adjoint.schedules.actions import Advance
from adjoint.simulation.machine import Limits, Machine


class Changing(Machine):
    """Plays a stream with the costs that there are by then; what is under way keeps its own.

    `changes` are (time, costs), in order: the first are there from the beginning.
    """

    def __init__(self, num_steps, changes):
        self.changes = list(changes)
        super().__init__(self.changes.pop(0)[1], Limits(num_steps))

    def run(self, stream, *, observed):
        """Play all of it; return the actions."""
        played = []
        stream = stream_of(stream)
        is_open = stream.awaits_num_steps
        action = next(stream, None)
        while action is not None:
            if self.changes and self.clock.now >= self.changes[0][0]:
                self.costs = self.changes.pop(0)[1]
                if observed:
                    stream.update_costs(self.costs)
            if type(action) is Advance and self.adjoint is None:
                action = Advance(action.start, min(action.stop, self.num_steps))
            self.play(action)
            played.append(action)
            at_end = self.live == self.num_steps and self.adjoint is None
            if is_open and at_end:
                is_open = False
                stream.set_num_steps(self.num_steps)
            action = next(stream, None)
        self.finish()
        return played
