"""What a picture shows is what `replay` reckons: the same end, steps and transfers."""

import pytest
from every_schedule import schedules
from hypothesis import given, settings
from hypothesis import strategies as st

from adjoint.errors import ScheduleError
from adjoint.schedules import Asynchronous, Revolve
from adjoint.schedules.costs import Costs
from adjoint.simulation.replay import price
from adjoint.simulation.timeline import SimulatedTimeline

COSTS = Costs(
    advance=1.0,
    record=0.25,
    unreached=1.0,
    pull_back=2.0,
    write=3.0,
    read=2.5,
    post=0.125,
    store=0.5,
    restore=0.5,
    turn=4.0,
    slowdown=1.5,
)


def steps(segments):
    return sum(abs(b - a) for a, b in zip(segments.starts, segments.stops, strict=True))


def spent(segments):
    return sum(b - a for a, b in zip(segments.begins, segments.ends, strict=True))


@settings(max_examples=60)
@given(schedules(max_steps=80), st.booleans())
def test_any_schedule(schedule, slow):
    costs = COSTS if slow else Costs()
    found = SimulatedTimeline(schedule, costs)
    limits = {"num_slots": schedule.num_slots, "tape_slots": schedule.tape_slots}
    expected = price(schedule, costs, num_steps=schedule.num_steps, **limits)
    assert found.makespan == expected.makespan
    assert steps(found.advances) == expected.advances
    assert steps(found.records) == steps(found.pull_backs) == schedule.num_steps
    assert (len(found.writes), len(found.reads)) == (expected.writes, expected.reads)


@given(schedules(max_steps=80))
def test_all_times_are_within_the_run_and_in_order(schedule):
    found = SimulatedTimeline(schedule, COSTS)
    for segments in (found.advances, found.records, found.pull_backs):
        assert list(segments.ends) == sorted(segments.ends)
    for kept in (found.in_memory, found.in_file):
        assert list(kept.starts) == list(kept.stops)
        assert all(
            0 <= b <= e <= found.makespan for b, e in zip(kept.begins, kept.ends, strict=True)
        )
    for moved in (found.writes, found.reads):
        assert all(begins <= ends for begins, ends in moved)


def test_time_is_spent_on_what_it_costs():
    found = SimulatedTimeline(Revolve(50, 3, leaf_steps=2), Costs(advance=1, pull_back=2))
    assert spent(found.advances) == steps(found.advances)
    assert spent(found.pull_backs) == 2 * 50


def test_a_snapshot_is_in_the_file_from_its_offload_to_its_discard():
    found = SimulatedTimeline(Asynchronous(4, 2, 2), Costs(write=1, read=1))
    # forward 4, the last of it recorded; pulled back to 3 at 5, to 2 at 6; then 0 is needed
    assert list(found.in_file.starts) == [0]
    assert found.writes == [(0.0, 1.0)]
    assert found.in_file.begins[0] == 0.0
    assert found.in_file.ends[0] == 6.0


def test_a_schedule_that_is_wrong_is_refused():
    class Wrong(Revolve):
        def __iter__(self):
            return iter(list(super().__iter__())[:-1])

    with pytest.raises(ScheduleError, match="announced PullBack"):
        SimulatedTimeline(Wrong(5, 2), Costs())
