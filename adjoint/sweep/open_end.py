"""The actions of a stream, where need be up to the end of a run of unknown length."""

from collections.abc import Iterator

from adjoint.schedules import AdaptiveStream
from adjoint.schedules.actions import Action, Advance
from adjoint.sweep.state import SweepState

__all__ = ["actions_of"]


def actions_of(stream: AdaptiveStream, state: SweepState) -> Iterator[Action]:
    """Return the actions of a stream; where it awaits the number of steps, see to that."""
    if stream.awaits_num_steps and state.adjoint_at is None:
        return _up_to_the_end(stream, state)
    return iter(stream)


def _up_to_the_end(stream: AdaptiveStream, state: SweepState) -> Iterator[Action]:
    """Yield the actions of a stream that awaits the number of steps; announce it in time."""
    for action in stream:
        if type(action) is Advance and state.num_steps is not None:
            yield Advance(action.start, min(action.stop, state.num_steps))
        else:
            yield action
        if state.num_steps is not None and state.position == state.num_steps:
            stream.set_num_steps(state.num_steps)
            yield from stream
            return
