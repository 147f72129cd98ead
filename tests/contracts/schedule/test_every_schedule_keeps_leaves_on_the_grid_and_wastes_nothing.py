"""Leaves lie on the grid; no live state is restored; a last restore is followed by its discard.

`Spilling`, which `TapesInFile` may play, may discard a slot between two restores if the file has
the state. If a transfer of the state is under way at its last restore, the discard waits for that.
"""

from every_schedule import schedules, small_cases
from hypothesis import given

from adjoint.schedules import Spilling, TapesInFile
from adjoint.schedules.actions import Advance, Discard, PullBack, Record, Restore, Store, Tier, Wait


def check_leaves(schedule, actions):
    leaf, end = schedule.leaf_steps, schedule.num_steps
    recorded = [action for action in actions if type(action) is Record]
    pulled_back = [action for action in actions if type(action) is PullBack]
    expected = [(k, min(k + leaf, end)) for k in range(0, end, leaf)][::-1]
    # kept tapes are recorded in forward order
    assert sorted([(action.start, action.stop) for action in recorded], reverse=True) == expected
    assert [(action.start, action.stop) for action in pulled_back] == expected, schedule
    assert all(
        action.start % leaf == 0 and (action.stop % leaf == 0 or action.stop == end)
        for action in actions
        if type(action) is Advance
    ), schedule


def check_restores(schedule, actions):
    live = 0
    for here, action in enumerate(actions):
        match action:
            case Advance():
                live = action.stop
            case Record(start=start, stop=stop, reach_stop=reach_stop):
                assert reach_stop == (actions[here + 1] != PullBack(start, stop)), (schedule, here)
                live = stop if reach_stop else None
            case PullBack():
                live = None
            case Restore():
                assert live != action.step, (schedule, here)
                live = action.step
                check_discard(schedule, actions, here)
            case _:
                pass


def check_discard(schedule, actions, here):
    step = actions[here].step
    discard = Discard(step, Tier.MEMORY)
    following = actions[here + 1]
    assert actions[here].keep == (following != discard), (schedule, here)
    if type(following) is Discard and following.step == step:
        return
    later = actions[here + 1 :]
    if isinstance(getattr(schedule, "schedule", schedule), Spilling | TapesInFile):
        if Wait(step) not in later:
            again = next_restore(later, step)
            assert Discard(step, Tier.FILE) not in later[:again], (schedule, here)
        return
    again = next_restore(later, step)
    assert discard not in later[:again], (schedule, here)
    assert Store(step) not in later[:again], (schedule, here)


def next_restore(actions, step):
    restores = (here for here, action in enumerate(actions) if type(action) is Restore)
    return next(here for here in restores if actions[here].step == step)


def check(schedule):
    actions = list(schedule)
    check_leaves(schedule, actions)
    check_restores(schedule, actions)


def test_on_every_small_case():
    for schedule in small_cases(max_steps=18, max_slots=4):
        check(schedule)


@given(schedules(max_steps=100))
def test_on_any(schedule):
    check(schedule)
