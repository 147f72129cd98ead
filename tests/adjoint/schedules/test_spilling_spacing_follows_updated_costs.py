"""Where writes become dearer they become rarer in proportion, and back: they are not waited for."""

from dataclasses import replace

import pytest
from changing_costs import Changing

from adjoint.schedules import Spilling
from adjoint.schedules.actions import Offload
from adjoint.schedules.costs import Costs

STEPS = 8000


def spacing(actions, start, stop):
    """Return the mean distance of what is written within a range."""
    steps = [a.step for a in actions if type(a) is Offload and start < a.step < stop]
    return (steps[-1] - steps[0]) / (len(steps) - 1)


def costs(transfer):
    return Costs(pull_back=1, unreached=1, write=transfer, read=transfer)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("times", [4, 0.25])
@pytest.mark.parametrize(("slots", "transfer", "tapes"), [(4, 10, 0), (16, 10, 1), (8, 50, 0)])
def test_spacing(known, times, slots, transfer, tapes):
    now, then = costs(transfer), costs(transfer * times)
    schedule = Spilling(
        STEPS if known else None,
        slots,
        transfer,
        costs=now,
        tail_repeats=0,
        tape_slots=tapes,
        max_file_states=STEPS,
    )
    run = Changing(STEPS, [(0, now), (2000, then), (4000, now)])
    actions = run.run(iter(schedule), observed=True)
    assert spacing(actions, 0, 1900) == pytest.approx(transfer, rel=0.1)
    if not known or times > 1:
        assert spacing(actions, 2300, 3900) == pytest.approx(transfer * times, rel=0.1)
    assert spacing(actions, 4300, 7000) == pytest.approx(transfer, rel=0.1)


def test_spacing_where_a_state_takes_more_of_the_processor_than_it_saves():
    """With 5 slots, up to 7 leaves lie between states of which none is taken more than once again.

    A schedule of known length would not write more than it has announced in any case.
    """
    now = replace(costs(12), slowdown=1.2, read_slowdown=1.2)
    then = replace(now, write=1.0, slowdown=10.0)
    schedule = Spilling(None, 5, 12, costs=now, tail_repeats=0, max_file_states=STEPS)
    actions = Changing(STEPS, [(0, now), (2000, then)]).run(iter(schedule), observed=True)
    assert spacing(actions, 2300, 7000) == pytest.approx(7, rel=0.1)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("slots", "transfer", "tapes"), [(4, 10, 0), (16, 10, 1), (8, 50, 0)])
def test_stall_where_the_bandwidth_drops_to_a_quarter(known, slots, transfer, tapes):
    now, then = costs(transfer), costs(4 * transfer)
    options = {"costs": now, "tape_slots": tapes, "max_file_states": STEPS}
    schedule = Spilling(STEPS if known else None, slots, transfer, **options)

    def stall(*, observed):
        run = Changing(STEPS, [(0, now), (2000, then), (4000, now)])
        run.run(iter(schedule), observed=observed)
        return run.clock.stall / run.clock.now

    assert stall(observed=True) < 0.02 < stall(observed=False)


def test_what_costs_nothing_at_first_has_no_ratio_to_keep():
    free, dear = replace(costs(0), write=0), costs(20)
    run = Changing(STEPS, [(0, free), (2000, dear)])
    actions = run.run(iter(Spilling(None, 4, 5, costs=free, max_file_states=STEPS)), observed=True)
    assert spacing(actions, 0, 1900) == 5
    assert spacing(actions, 2300, 7000) == 20
