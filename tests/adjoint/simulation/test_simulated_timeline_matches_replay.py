"""A simulated timeline has the end, the steps and the transfers that `replay` computes."""

import pytest
from every_schedule import schedules
from hypothesis import given, settings
from hypothesis import strategies as st

from adjoint.errors import ScheduleError
from adjoint.schedules import Asynchronous, Online, Revolve
from adjoint.schedules.costs import Costs
from adjoint.simulation.replay import price
from adjoint.simulation.simulated_timeline import simulate
from adjoint.simulation.timeline import Track

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


def num_steps(timeline):
    return int((timeline.stops - timeline.starts).sum())


@settings(max_examples=60)
@given(schedules(max_steps=80), st.booleans())
def test_any_schedule(schedule, slow):
    costs = COSTS if slow else Costs()
    found = simulate(schedule, costs)
    limits = {"num_slots": schedule.num_slots, "tape_slots": schedule.tape_slots}
    expected = price(schedule, costs, num_steps=schedule.num_steps, **limits)
    assert found.end == expected.makespan
    assert len(found.select_track(Track.COMPUTATION)) == expected.actions
    assert num_steps(found.select("Advance")) == expected.advances
    assert num_steps(found.select("Record")) == schedule.num_steps
    assert num_steps(found.select("PullBack")) == schedule.num_steps
    assert len(found.select("Write")) == expected.writes
    assert len(found.select("Read")) == expected.reads


@given(schedules(max_steps=80))
def test_all_times_are_within_the_run_and_actions_in_order(schedule):
    found = simulate(schedule, COSTS)
    computation = found.select_track(Track.COMPUTATION)
    assert list(computation.ends) == sorted(computation.ends)
    assert list(computation.begins[1:]) == list(computation.ends[:-1])
    snapshots = found.select_track(Track.SNAPSHOTS)
    assert list(snapshots.starts) == list(snapshots.stops)
    assert all(0 <= event.began <= event.ended <= found.end for event in found)


@given(schedules(max_steps=80))
def test_every_transfer_belongs_to_an_action_on_its_state(schedule):
    found = simulate(schedule, COSTS)
    offloads = [event.start_step for event in found.select("Offload")]
    cancelled = [event.start_step for event in found.select("Cancel")]
    for write in found.select("Write"):
        offloads.remove(write.start_step)
    assert all(step in cancelled for step in offloads)
    fetched = {event.start_step for event in found.select("Prefetch", "Restore")}
    assert {read.start_step for read in found.select("Read")} <= fetched


def test_time_is_spent_on_what_it_costs():
    found = simulate(Revolve(50, 3, leaf_steps=2), Costs(advance=1, pull_back=2))
    advances = found.select("Advance")
    assert advances.seconds == num_steps(advances)
    assert found.select("PullBack").seconds == 2 * 50


def test_a_snapshot_is_in_the_file_from_its_offload_to_its_discard():
    found = simulate(Asynchronous(4, 2, 2), Costs(write=1, read=1))
    # forward 4, the last of it recorded; pulled back to 3 at 5, to 2 at 6; then 0 is needed
    assert list(found.select("In file")) == [("In file", 0, 0, 0.0, 6.0, Track.SNAPSHOTS)]
    assert list(found.select("Write")) == [("Write", 0, 0, 0.0, 1.0, Track.TRANSFERS)]


def test_a_schedule_that_is_wrong_is_refused():
    class Wrong(Revolve):
        def __iter__(self):
            return iter(list(super().__iter__())[:-1])

    with pytest.raises(ScheduleError, match="announced PullBack"):
        simulate(Wrong(5, 2), Costs())


def test_a_schedule_without_a_number_of_steps_is_refused():
    with pytest.raises(ScheduleError, match="does not know its number of steps"):
        simulate(Online(3), Costs())
